#!/bin/sh
# Builds every fuzz target and runs each for FUZZ_SECONDS (default 60), on stable Rust without cargo-fuzz.
# Usage: scripts/fuzz.sh [TARGET]…       New inputs go to fuzz/corpus/TARGET/generated, which git ignores.
set -eu
cd "$(dirname "$0")/../fuzz"

# The coverage pass that libFuzzer needs is a compiler flag that stable Rust hides behind RUSTC_BOOTSTRAP.
coverage="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
-C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
-C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1 --cfg fuzzing"
# A target keeps build scripts and macros, which run on the host, out of the instrumentation.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$coverage" cargo build --release --target "$host" --bins

targets=${*:-$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml)}
for target in $targets; do
    mkdir -p "corpus/$target/generated" "artifacts/$target"
    echo "== $target"
    "target/$host/release/$target" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -rss_limit_mb=1024 \
        -timeout=10 -print_final_stats=1 -artifact_prefix="artifacts/$target/" \
        "corpus/$target/generated" "corpus/$target"
done
