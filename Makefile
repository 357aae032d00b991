# What a person types. Each target is a script or a cargo command that can also be run by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo setup servers test lint fuzz bench bench-quick microbench fidelity deb clean-servers

help: ## this text
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## back up, verify and restore a throwaway PostgreSQL and SQLite, from nothing
	@scripts/demo.sh

test: setup servers ## install what tests need, start PostgreSQL 13 to 18 and an S3 server, run every test
	@scripts/test.sh

lint: ## format, clippy and documentation, warnings are errors
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

fuzz: ## every fuzz target for FUZZ_SECONDS (60) each
	@scripts/fuzz.sh

bench: ## beside stock pg_dump, pg_restore and sqlite3, hours; writes the tables of docs/PERFORMANCE.md
	@scripts/servers.sh start 15 17
	@scripts/bench.py --write

bench-quick: ## the same with small data, a first look of some minutes that is written nowhere
	@scripts/servers.sh start 15 17
	@scripts/bench.py --quick

microbench: ## criterion benches of the parts, against the run before
	@scripts/servers.sh start 17
	cargo bench

fidelity: setup servers ## restored databases compared with their sources by stock pg_dump, all majors
	@scripts/fidelity.sh

deb: ## the Debian package, of a release build: minutes
	@scripts/deb.sh

setup: ## install what building and testing need
	@scripts/setup.sh test

servers: ## start the test servers: PostgreSQL 13 to 18, and S3
	@scripts/servers.sh start
	@scripts/s3.sh start
	@scripts/browser.sh get

clean-servers: ## stop the test servers, delete their data and binaries
	@scripts/s3.sh remove
	@scripts/servers.sh remove
