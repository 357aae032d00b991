#!/bin/sh
# Builds every fuzz target and runs each for FUZZ_SECONDS (default 60), on stable Rust without cargo-fuzz.
# As many run at once as there are cores, or FUZZ_JOBS; what each said is in fuzz/artifacts/TARGET/log.
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
    [ -x "target/$host/release/$target" ] || { echo "error: no fuzz target is called $target" >&2; exit 2; }
done

# One target: a line when it held, and everything it said when it did not.
fuzz_one='
    target=$1
    mkdir -p "corpus/$target/generated" "artifacts/$target"
    log=artifacts/$target/log
    if "target/$2/release/$target" -max_total_time="$3" -max_len=65536 -rss_limit_mb=1024 -timeout=10 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target/generated" "corpus/$target" \
        >"$log" 2>&1
    then
        runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
        memory=$(sed -n "s/^stat::peak_rss_mb: *//p" "$log")
        echo "fuzz: $target held for $runs inputs in $3 s, peak $memory MiB"
    else
        cat "$log" >&2
        echo "error: fuzz target $target failed; its input is in fuzz/artifacts/$target" >&2
        exit 1
    fi'
# xargs goes on after a target that failed, and fails at the end.
printf '%s\n' $targets |
    xargs -P "${FUZZ_JOBS:-$(nproc)}" -I '{}' sh -c "$fuzz_one" fuzz '{}' "$host" "${FUZZ_SECONDS:-60}"
