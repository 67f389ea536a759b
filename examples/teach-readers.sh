#!/usr/bin/env bash
# What readers learn from the three teachers, on synthetic domains or on flights, and how it carries over (docs/teaching.md):
#
#     examples/teach-readers.sh teach TEACHER     a small training on synthetic domains: some four hours of one core
#     examples/teach-readers.sh flights TEACHER   posterior-reader continued on flights: about half an hour
#     examples/teach-readers.sh ask TEACHER       both of them asked: about an hour
#     examples/teach-readers.sh exact             the exact answer, chance and posterior-reader on the same questions
#     examples/teach-readers.sh students          the students of flights alone; a web shop's five rounds are too long for them
#     examples/teach-readers.sh table             all answers as a table, and the learning curves, in results/teaching/readers
#
# TEACHER is posterior, bayesian or oracle.
# Each step uses one core, and continues where it stopped. These variables change it:
#     FOLDER=results/local/readers  INTERACTIONS=24192  BATCH=16  DOMAINS="flights hotels"  USERS=48 (of each domain but flights-2)
#     BELIEFBENCH="python3 -m beliefbench"
set -euo pipefail
FOLDER=${FOLDER:-results/local/readers}
BELIEFBENCH=${BELIEFBENCH:-.venv/bin/beliefbench}
DOMAINS=${DOMAINS:-"flights flights-2 flights-3 flights-5 flights-6 flights-7 flights-8 hotels webshop restaurants"}
PUBLISHED=results/teaching/readers
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

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
    local domain agent users agents=()
    for agent in "$@"; do agents+=(--agent "$agent"); done
    for domain in $DOMAINS; do
        users=${USERS:-48}
        [ "$domain" = flights-2 ] && users=24 # all that there are
        $BELIEFBENCH run --results "$FOLDER/rows" --plugins examples/restaurants-plugin/src/beliefbench_restaurants \
            --domain "$domain" --users "$users" --heldout 10 "${agents[@]}"
    done
}

table() {
    local teacher
    for teacher in posterior bayesian oracle; do
        mkdir -p "$PUBLISHED/$teacher-24192"
        cp "$FOLDER/$teacher/teaching.json" "$FOLDER/$teacher/validation.jsonl" "$PUBLISHED/$teacher-24192"
    done
    $BELIEFBENCH leaderboard --results "$FOLDER/rows" --format csv --out "$PUBLISHED/answers.csv"
}

mkdir -p "$FOLDER"
case "${1:-} ${2:-}" in
"teach posterior" | "teach bayesian" | "teach oracle" | "flights posterior" | "flights bayesian" | "flights oracle") "$1" "$2" ;;
"ask posterior" | "ask bayesian" | "ask oracle") ask "prompted:$FOLDER/$2,dtype=float32" "prompted:$FOLDER/then-flights-$2,dtype=float32" ;;
"exact ") ask bayesian random posterior-reader ;;
"students ") DOMAINS=${DOMAINS/webshop/} && ask posterior-taught bayesian-taught oracle-taught ;;
"table ") table ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
