#!/bin/bash
# Boots systemd as PID 1 with the installed tree and uses it as an administrator and a user would:
# systemd-nspawn over a throw-away overlay of this machine's own root, so nothing is downloaded and
# nothing is changed. What happens inside is systemd_guest.sh.
#
#   test_systemd.sh BUILD_DIRECTORY
#
# Exits 77 with the reason where it cannot run: not root, no nspawn, no namespaces or cgroups.
set -euo pipefail

build=$1
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

skip() {
    echo "$*"
    exit 77
}

# In the private mount namespace: $work/root is a writable overlay of /, kept in memory.
mount_overlay() {
    mount -t tmpfs -o mode=0755 tmpfs "$work"
    mkdir "$work"/{lower,upper,scratch,root,results}
    mount --bind / "$work/lower"
    mount -o remount,bind,ro "$work/lower"
    mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/scratch" \
        overlay "$work/root"
    : >"$work/root/etc/fstab"
    rm -rf "$work"/root/etc/systemd/system/*.wants
    rm -f "$work/root/etc/machine-id"
    systemd-id128 new >"$work/root/etc/machine-id"
}

# boot COMMAND: runs it in the booted system, as root, until it ends.
boot() {
    local -a keep=()

    cat >"$work/root/etc/systemd/system/dwbench-test.service" <<EOF
[Unit]
Description=dwbench test
[Service]
Type=oneshot
ExecStart=-$1
ExecStopPost=systemctl --force exit
EOF
    cat >"$work/root/etc/systemd/system/dwbench-test.target" <<EOF
[Unit]
Requires=basic.target dwbench-test.service
After=basic.target
EOF
    if [[ ! -d /run/systemd/system ]]; then
        keep=(--keep-unit)
    fi
    timeout --kill-after=10 240 systemd-nspawn --quiet --register=no "${keep[@]}" \
        --machine="${work##*/}" --directory="$work/root" --private-network --console=pipe \
        --capability=CAP_PERFMON --system-call-filter="perf_event_open seccomp @system-service @aio \
            landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        --bind="$work/results:/opt/results" --boot systemd.unit=dwbench-test.target \
        </dev/null >"$work/console" 2>&1
}

run() {
    local prefix

    mount_overlay || skip "no overlay can be mounted here (above)"

    boot "/bin/touch /opt/results/booted" || true
    [[ -e $work/results/booted ]] || skip "nspawn does not boot here: $(tail -n 1 "$work/console")"

    prefix=$(meson introspect "$build" --buildoptions |
        jq -r '.[] | select(.name == "prefix").value')
    meson install -C "$build" --no-rebuild --quiet --destdir "$work/root"
    install -m 755 "$here/systemd_guest.sh" "$work/root/opt/systemd_guest.sh"
    boot "/bin/bash -c '/opt/systemd_guest.sh $prefix >/opt/results/log 2>&1 && touch /opt/results/passed'" ||
        true
    cat "$work/results/log" || cat "$work/console"
    [[ -e $work/results/passed ]]
}

((EUID == 0)) || skip "booting systemd needs root"
command -v systemd-nspawn >/dev/null || skip "no systemd-nspawn: scripts/packages test installs it"

if [[ -z ${DWBENCH_TEST_WORK-} ]]; then
    work=$(mktemp -d /tmp/dwbench-boot.XXXXXX)
    cgroups=()
    # What nspawn made below the cgroups is empty by now.
    trap 'rmdir "$work"; ((${#cgroups[@]} == 0)) || find "${cgroups[@]}" -depth -type d -exec rmdir {} \;' EXIT
    # Where PID 1 is not systemd, nspawn wants cgroups of its own to stand in: in the one hierarchy,
    # or in systemd's two of the hybrid layout.
    if [[ ! -d /run/systemd/system ]]; then
        for base in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
            [[ -e $base/cgroup.procs ]] || continue
            mkdir "$base/${work##*/}" || skip "no cgroup can be made here (above)"
            cgroups+=("$base/${work##*/}")
        done
        ((${#cgroups[@]} > 0)) || skip "no cgroup hierarchy is mounted"
    fi
    (
        for cgroup in "${cgroups[@]}"; do
            echo "$BASHPID" >"$cgroup/cgroup.procs"
        done
        DWBENCH_TEST_WORK=$work exec unshare --mount --propagation private "$0" "$build"
    )
    exit
fi
work=$DWBENCH_TEST_WORK
run
