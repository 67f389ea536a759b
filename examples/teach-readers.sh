#!/usr/bin/env bash
# What readers learn from the three teachers, on synthetic domains or on flights, and how it carries over (docs/students.md):
#
#     examples/teach-readers.sh teach TEACHER     a small training on synthetic domains: about three hours of one core
#     examples/teach-readers.sh flights TEACHER   posterior-reader continued on flights: about 20 minutes
#     examples/teach-readers.sh ask TEACHER       both of them asked: about an hour
#     examples/teach-readers.sh exact             the exact answer, chance and posterior-reader on the same questions
#     examples/teach-readers.sh students          the students of flights alone, but on no web shop: too long for them
#     examples/teach-readers.sh table             all answers as a table, and the learning curves, in $PUBLISHED
#
# TEACHER is posterior, bayesian or oracle.
# Each step uses one core, and continues where it stopped. These variables change it:
#     FOLDER=results/local/readers  INTERACTIONS=24192  BATCH=16  DOMAINS="flights hotels"  USERS=100 (of each domain but restaurants)
#     BELIEFBENCH="python3 -m beliefbench"  PUBLISHED=results/local/readers/table (results/teaching/readers has ours)
set -euo pipefail
cd "$(dirname "$0")/.."
FOLDER=${FOLDER:-results/local/readers}
BELIEFBENCH=${BELIEFBENCH:-.venv/bin/beliefbench}
DOMAINS=${DOMAINS:-"flights hotels flights-3 restaurants flights-8 webshop-backpacks webshop-headphones webshop-yoga-mats"}
PUBLISHED=${PUBLISHED:-$FOLDER/table}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} CUDA_VISIBLE_DEVICES= # one core, whatever the machine has

teach() {
    $BELIEFBENCH teach reader --teacher "$1" --interactions "${INTERACTIONS:-24192}" --batch "${BATCH:-16}" --out "$FOLDER/$1"
}

flights() { # 2 interactions of each of the 624 users: 6,240 answers
    [ -e "$FOLDER/$1.jsonl" ] ||
        $BELIEFBENCH teach data --teacher "$1" --domain flights --interactions 2 --whole --out "$FOLDER/$1.jsonl"
    $BELIEFBENCH teach run --base bench/beliefbench/agents/taught/posterior-reader --data "$FOLDER/$1.jsonl" \
        --out "$FOLDER/then-flights-$1" --learning-rate 3e-4 --batch 32 --at-once 4 --validate 0
}

ask() { # AGENT...
    local domain agent users sets agents=()
    for agent in "$@"; do agents+=(--agent "$agent"); done
    for domain in $DOMAINS; do
        [[ $domain = webshop-* && $1 = *-taught ]] && continue
        users=${USERS:-100} sets=5
        case $domain in
        restaurants) users=45 ;; # all that there are
        webshop-*) sets=2 ;; # the tables have their mean
        esac
        $BELIEFBENCH run --results "$FOLDER/rows" --plugins examples/restaurants-plugin/src/beliefbench_restaurants \
            --domain "$domain" --users "$users" --heldout "$sets" "${agents[@]}"
    done
}

table() {
    local teacher
    for teacher in posterior bayesian oracle; do
        mkdir -p "$PUBLISHED/$teacher-one-core"
        cp "$FOLDER/$teacher/teaching.json" "$FOLDER/$teacher/validation.jsonl" "$PUBLISHED/$teacher-one-core"
    done
    $BELIEFBENCH leaderboard --results "$FOLDER/rows" --format csv --out "$PUBLISHED/answers.csv"
}

case "${1:-} ${2:-}" in
"teach posterior" | "teach bayesian" | "teach oracle" | "flights posterior" | "flights bayesian" | "flights oracle")
    mkdir -p "$FOLDER"
    "$1" "$2"
    ;;
"ask posterior" | "ask bayesian" | "ask oracle") ask "prompted:$FOLDER/$2,dtype=float32" "prompted:$FOLDER/then-flights-$2,dtype=float32" ;;
"exact ") ask bayesian random posterior-reader ;;
"students ") ask posterior-taught bayesian-taught oracle-taught ;;
"table ") table ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
