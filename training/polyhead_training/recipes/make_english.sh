#!/usr/bin/env bash
# Makes the default English bundle: make_english.sh DATA ENCODER TEACHER OUT
#
# ENCODER and TEACHER are hub ids or directories of all-MiniLM-L6-v2 and all-mpnet-base-v2. Takes
# some eight hours on two cores; what was done is not done again when it is started anew. The first
# teacher of the shipped bundle was stopped at step 1,212, its best so far, and its seventh run began
# with the mean before it as it was read back from an int8 bundle.
set -euo pipefail
data=$1 encoder=$2 teacher=$3 out=$4
recipes=$(dirname "$0")
fit() { # RECIPE RUN ENCODER [OPTION ...]
    polyhead-train fit "$recipes/$1.toml" --data "$data" --out "$out.$2" --run "$out.$2.run" \
        --encoder "$3" --no-export "${@:4}"
}
mean() { # NAME RUN ...: the mean of the weights, as a bundle with its run directory
    [ -d "$out.$1.run" ] || polyhead-train average "${@:2}" --data "$data" --out "$out.$1"
}
one=$out.1.run two=$out.2.run three=$out.3.run four=$out.4.run five=$out.5.run six=$out.6.run
fit english 1 "$encoder"
fit english-2 2 "$encoder"
fit english-teacher teacher "$teacher"
fit english-3 3 "$encoder" --start "$two" --teacher "$out.teacher.run"
fit english-4 4 "$encoder" --teacher "$out.teacher.run"
mean early "$four" "$four" "$three" "$one"
fit english-5 5 "$encoder" --start "$out.early.run" --teacher "$out.teacher.run"
mean late "$five" "$five" "$one" "$two"
fit english-6 6 "$encoder" --start "$out.late.run" --teacher "$out.teacher.run"
mean last "$six" "$six" "$five" "$three"
fit english-teacher-2 teacher-2 "$teacher"
fit english-teacher-3 teacher-3 "$teacher" --start "$out.teacher-2.run"
polyhead-train fit "$recipes/english-7.toml" --data "$data" --out "$out.final" --run "$out.7.run" \
    --encoder "$encoder" --start "$out.last.run" --teacher "$out.teacher-3.run"
