# shellcheck shell=bash disable=SC2154
# Shared by argo-local and argo-cluster: processes of a work directory, each with
# a log and a pid file. Expects $work. Sourced, not run.

die() { echo "${0##*/}: $*" >&2; exit 1; }

free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        answers "$port" 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

# wait_for SECONDS PID COMMAND...: until COMMAND succeeds, PID dies or time is up.
wait_for() {
    local left=$(($1 * 10)) pid=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || return 1
        ((left-- > 0)) || return 1
        sleep 0.1
    done
}

# spawn NAME COMMAND...
spawn() {
    local name=$1
    shift
    setsid "$@" >"$work/log/$name.log" 2>&1 </dev/null &
    echo $! >"$work/run/$name.pid"
    disown # bash shall not tell how it ended
}

pid_of() { cat "$work/run/$1.pid"; }

# last_words NAME: the end of a process's log.
last_words() { tail -n 3 "$work/log/$1.log"; }

end() {
    local file=$work/run/$1.pid pid
    [[ -e $file ]] || return 0
    pid=$(<"$file")
    kill "$pid" 2>/dev/null || true
    # argocd-cmp-server removes its socket on SIGTERM but stays, hence SIGKILL.
    for _ in {1..20}; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$file"
}
