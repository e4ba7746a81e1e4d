#!/bin/bash
# Runs as root inside the system that test_systemd.sh has booted: the life of the installed daemon
# under systemd, step by step. Prints "ok" or "not ok" and what it saw for each; the exit status is
# non-zero after any "not ok".
#
#   systemd_guest.sh PREFIX
set -uo pipefail

prefix=$1
socket=/run/dwbench/dwbench.sock
ctl=$prefix/bin/dwbenchctl
dropins=/run/systemd/system/dwbenchd.service.d
layer=Dk=3,Dx=14,M=16,N=16
failed=0

# check DESCRIPTION COMMAND...: one step; what it printed is shown when it fails.
check() {
    local description=$1 output
    shift

    if output=$("$@" 2>&1); then
        echo "ok - $description"
    else
        echo "not ok - $description (status $?)"
        echo "${output:0:4000}" | tail -n 20 | sed 's/^/    /'
        failed=1
    fi
}

# as USER COMMAND...: with that user's groups and nothing of root's environment.
as() {
    local user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups --reset-env "$@"
}

api() {
    as tester curl --silent --show-error --fail-with-body --max-time 30 --unix-socket "$socket" \
        "http://localhost$1" "${@:2}"
}

property() {
    systemctl show --property "$1" --value dwbenchd.service
}

equals() {
    [[ $1 == "$2" ]] || {
        echo "\`$1' is not \`$2'"
        return 1
    }
}

# wait_for SECONDS COMMAND...: until it holds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then
            "$@"
            return 1
        fi
        sleep 0.1
    done
}

job_state() {
    api "/v1/jobs/$1" | jq -r .state
}

job_is() {
    equals "$(job_state "$1")" "$2"
}

# On a busy machine a job may end without a ratio (exit 5): noise is no defect of a unit.
submit_through_client() {
    local status=0

    as tester "$ctl" submit --layer "$layer" --budget 500ms --replicates 3 --wait --format json \
        "$@" >/run/result.json || status=$?
    ((status == 0 || status == 5))
}

result_is_sound() {
    jq -e '.results | length == 1 and (.[0] |
        (.theory.ratio - (1 / 16 + 1 / 9) | fabs < 1e-12) and
        .verification.ok and .verification.positions > 0 and
        (.verdict == "contaminated" or (.ratio.time.floor | type == "number" and . > 0)))' \
        /run/result.json
}

# What this kernel has, the unit must not take away: the worker by itself is what to compare with.
sandbox_holds() {
    local free inside

    free=$("$prefix/libexec/dwbench/dwbench-worker" --probe | jq -c .environment.sandbox) || return
    inside=$(jq -c .environment.sandbox /run/result.json) || return
    echo "$inside"
    equals "$inside" "$free" && jq -e '.no_new_privs and .profile == "measure"' <<<"$inside"
}

says_what_holds() {
    api /v1/info | jq -e '.machine.environment.sandbox.profile == "measure"'
}

# Prints the id of a job with about $1 of measuring.
submit_through_api() {
    api /v1/jobs --data "{Dk: 3, Dx: 14, M: 16, N: 16, replicates: 10, budget: $1, precision: 0.01%}" |
        jq -re .id
}

outsider_is_refused() {
    local status=0

    as outsider "$ctl" list || status=$?
    equals "$status" 3
}

runs_unprivileged() {
    local status

    status=/proc/$(property MainPID)/status
    equals "$(awk '/^Uid:/ {print $2, $3, $4, $5}' "$status")" \
        "$(printf '%s ' "$(id -u dwbench)"{,,,} | sed 's/ *$//')" &&
        equals "$(awk '/^CapEff:|^CapPrm:|^CapBnd:/ {print $2}' "$status" | sort -u)" \
            "$(printf %016x "$1")" &&
        equals "$(awk '/^NoNewPrivs:|^Seccomp:/ {print $2}' "$status" | xargs)" "1 2"
}

# The journal has the daemon's lines at their priority, without the "<N>" that carries it.
journal_is_readable() {
    journalctl --quiet --output=json --unit=dwbenchd _UID="$(id -u dwbench)" >/run/journal.json
    jq -r '.PRIORITY + " " + .MESSAGE' /run/journal.json
    jq -se --arg id "$1" 'length > 0 and
        all(.MESSAGE | type == "string" and (test("^<[0-9]>") | not)) and
        any(.PRIORITY == "6") and any(.MESSAGE | contains($id))' /run/journal.json
}

# submit_one KEY: one try to submit a small job under the key; its id, or why not, goes to a file.
# That the daemon is draining or the queue is full is an answer to try again on, not a refusal.
submit_one() {
    local answer

    answer=$(as tester curl --silent --show-error --max-time 30 --unix-socket "$socket" \
        --write-out '\n%{http_code}' --header "Idempotency-Key: $1" \
        --data '{Dk: 3, Dx: 8, M: 8, N: 8, replicates: 2, budget: 100ms}' \
        http://localhost/v1/jobs 2>/run/refused.why) || {
        cat /run/refused.why >>/run/refused
        return 1
    }
    case ${answer##*$'\n'} in
    202) jq -r .id <<<"${answer%$'\n'*}" >>/run/accepted ;;
    429 | 503) return 1 ;;
    *)
        echo "$answer" >>/run/refused
        return 1
        ;;
    esac
}

# systemctl restart, over and over, beside a client that submits: it must never be refused.
restart_refuses_nobody() {
    local i submitter

    rm -f /run/refused /run/accepted /run/restarted
    (for ((i = 0; ; i++)); do
        until submit_one "restart-$i"; do
            [[ ! -s /run/refused ]] || exit 1
            sleep 0.1
        done
        ((i < 20)) || [[ ! -e /run/restarted ]] || break
        sleep 0.05
    done) &
    submitter=$!
    for ((i = 0; i < 3; i++)); do
        systemctl restart dwbenchd.service || return 1
        sleep 0.3
    done
    touch /run/restarted
    wait "$submitter" || {
        cat /run/refused
        return 1
    }
    echo "$(wc -l </run/accepted) accepted"
    (($(wc -l </run/accepted) > 20))
}

# Each accepted job is there, once, and gets done.
none_is_lost() {
    local id

    equals "$(sort -u /run/accepted | wc -l)" "$(wc -l </run/accepted)" || return 1
    while read -r id; do
        wait_for 60 job_is "$id" "done" || return 1
    done </run/accepted
}

# took BEGAN SECONDS: since then no more than so many have passed.
took() {
    awk -v began="$1" -v ended="$EPOCHREALTIME" -v most="$2" 'BEGIN {
        print "took", ended - began, "s"; exit !(ended - began <= most) }'
}

# Ten seconds are what the daemon promises to drain in; one is for systemd and for a busy machine.
stops_in_time() {
    local began=$EPOCHREALTIME

    systemctl stop dwbench.socket dwbenchd.service || return 1
    took "$began" 11 &&
        equals "$(property Result)" success && equals "$(property ExecMainStatus)" 0 &&
        equals "$(property ExecMainCode)" 1 && ! pgrep -u dwbench
}

restarted_since() {
    (($(property NRestarts) > $1))
}

# The watchdog's ten seconds, with the kill, RestartSec= and a busy machine's delays on top.
watchdog_restarts() {
    local restarts pid began=$EPOCHREALTIME

    restarts=$(property NRestarts)
    pid=$(property MainPID)
    kill -STOP "$pid"
    wait_for 16 restarted_since "$restarts" || return 1
    took "$began" 14 && wait_for 5 systemctl is-active dwbenchd.service &&
        journalctl --quiet --unit=dwbenchd --output=short-unix | grep -i 'watchdog timeout' |
        awk -v began="$began" '{ print; late = $1 - began > 11 } END { exit late }'
}

# A client that does whatever it likes leaves a bounded mark on the journal, in lines and in bytes.
journal_is_not_filled() {
    local before after

    before=$(journalctl --quiet --unit=dwbenchd | wc -c)
    as tester curl --silent --unix-socket "$socket" --output /dev/null --data 'x: [' \
        'http://localhost/v1/jobs?[1-10000]' || return 1
    after=$(journalctl --quiet --unit=dwbenchd | wc -c)
    echo "$((after - before)) bytes in the journal"
    ((after - before < 4096))
}

with_dropin() {
    mkdir -p "$dropins"
    rm -f "$dropins"/*
    cp "$prefix/share/dwbench/dwbenchd.service.d/$1" "$dropins"
    systemctl daemon-reload
    systemctl restart dwbenchd.service
}

metrics_through_proxy() {
    systemctl start dwbench-metrics.socket &&
        curl --silent --show-error --fail --max-time 20 http://127.0.0.1:9877/metrics \
            >/run/metrics.txt && grep '^dwbench_build_info' /run/metrics.txt
}

systemd-sysusers --inline 'u tester - "a user"' 'm tester dwbench' 'u outsider - "another"'

check "sysusers made the daemon's user" id dwbench
check "tmpfiles made the socket's directory" \
    equals "$(stat -c '%A %U %G' /run/dwbench)" "drwxr-x--- root dwbench"
check "the units load without a warning" systemd-analyze verify --man=no dwbench.socket \
    dwbenchd.service dwbench-metrics.socket dwbench-metrics.service
check "the socket can be enabled and started" systemctl enable --now dwbench.socket
check "the socket is the group's" equals "$(stat -c '%A %G' "$socket")" "srw-rw---- dwbench"
check "the daemon waits for a client" equals "$(property ActiveState)" inactive
check "a user of the group measures a layer through the socket" submit_through_client
check "its result is sound" result_is_sound
check "its workers were shut in as far as this kernel can" sandbox_holds
echo "# $(jq -c .environment.sandbox /run/result.json)"
check "the daemon says so" says_what_holds
check "the socket has started the daemon" equals "$(property ActiveState)" active
check "the daemon has told systemd that it is ready, and its state" test -n "$(property StatusText)"
check "it runs as its user, without capabilities, under seccomp" runs_unprivileged 0
check "its state is its own" equals "$(stat -c '%A %U' /var/lib/dwbench)" "drwx------ dwbench"
check "a user outside of the group is refused" outsider_is_refused
check "the journal is readable and names the job" journal_is_readable \
    "$(api /v1/jobs | jq -r '.jobs[0].id')"

id=$(submit_through_api 3s)
check "a longer job is accepted" test -n "$id"
check "it runs" wait_for 10 job_is "$id" running
check "restarts refuse no client" restart_refuses_nobody
check "the job survives them" wait_for 60 job_is "$id" "done"
check "no accepted job is lost in them" none_is_lost

id=$(submit_through_api 20s)
check "it runs" wait_for 10 job_is "$id" running
check "stop drains in time and exits with 0" stops_in_time
check "the stopped socket is gone" test ! -e "$socket"
systemctl start dwbench.socket
check "the job is there after the stop" wait_for 10 job_is "$id" running
check "and can be cancelled" api "/v1/jobs/$id" --request DELETE

check "the metrics proxy answers on loopback" metrics_through_proxy
check "promtool has nothing to say" promtool check metrics </run/metrics.txt

check "10,000 bad requests do not fill the journal" journal_is_not_filled

id=$(submit_through_api 20s)
check "a job runs" wait_for 10 job_is "$id" running
check "a frozen daemon is restarted by the watchdog" watchdog_restarts
check "and goes on with its job" wait_for 20 job_is "$id" running
check "and its other jobs are there" none_is_lost
check "and can cancel it" api "/v1/jobs/$id" --request DELETE

check "the daemon starts with perfmon.conf" with_dropin perfmon.conf
check "and has CAP_PERFMON alone" runs_unprivileged $((1 << 38))
check "the daemon starts with no-counters.conf" with_dropin no-counters.conf
check "and measures" submit_through_client
check "without a counter" jq -e '[.. | .counters? // empty | .[]? | .source?] |
    any(. == "hardware") | not' /run/result.json
if [[ -e $prefix/libexec/dwbench/dwbench-backend-onednn.so ]]; then
    check "the daemon starts with onednn.conf" with_dropin onednn.conf
    check "and oneDNN may write its kernels" submit_through_client --backends native,onednn
fi

if ((failed)); then
    journalctl --quiet --no-pager --unit=dwbenchd --unit=dwbench.socket --lines=60
fi
exit "$failed"
