# shellcheck shell=bash
# Plugin servers to compare, each in a folder of its own with its own socket: $work/NAME/plugins/sops.sock. Expects $work, an empty
# folder. Sourced, not run.
#
#   servers_prepare                     finds the programs, makes $work; `binary` is ours ('' where it is not built)
#   server_start KIND NAME [VAR=VALUE...]   KIND: stock (sops | helm by a shell), generate (stock running us), ours (serve)
#   server_stop NAME
#   socket_of NAME

servers_tree=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
# shellcheck source=lib.sh
source "$servers_tree/tests/e2e/lib.sh"

servers_prepare() {
    local tool
    tool() { "$servers_tree/tests/tools" --path "$1"; }
    programs=$(tool e2e) argocd=$(tool argocd) helm=$(tool helm) sops=$(tool sops)
    binary=${ARGOCD_SOPS_BINARY:-${CARGO_TARGET_DIR:-$servers_tree/target}/quick/argocd-sops}
    age_key=$servers_tree/tests/charts/keys/age.txt
    for tool in "$programs/cmpbench" "$argocd/argocd-cmp-server" "$helm/helm" "$sops/sops"; do
        [[ -x $tool ]] || die "missing: $tool (tests/tools debian-e2e sops helm argocd e2e)"
    done
    [[ -x $binary ]] || binary=""
    mkdir -p "$work"/{bin,run,log}
    ln -sfn "$helm/helm" "$work/bin/helm"
    ln -sfn "$sops/sops" "$work/bin/sops"
    [[ -z $binary ]] || ln -sfn "$(realpath "$binary")" "$work/bin/argocd-sops"
}

socket_of() { echo "$work/$1/plugins/sops.sock"; }

# The servers see what a sidecar would: none of the caller's keys, clouds or helm settings.
server_start() { # KIND NAME [VAR=VALUE...]
    local kind=$1 name=$2 command
    shift 2
    case $kind in
        stock) command=("$argocd/argocd-cmp-server" --loglevel warn --config-dir-path "$servers_tree/tests/e2e/stock") ;;
        generate) command=("$argocd/argocd-cmp-server" --loglevel warn --config-dir-path "$servers_tree/cmp") ;;
        ours) command=("${binary:?no binary of ours}" serve) ;;
    esac
    mkdir -p "$work/$name"/{plugins,cmp,tmp,home}
    rm -f "$(socket_of "$name")"
    spawn "$name" env -i PATH="$work/bin:/usr/local/bin:/usr/bin:/bin" HOME="$work/$name/home" TMPDIR="$work/$name/tmp" LANG=C.UTF-8 \
        ARGOCD_PLUGINSOCKFILEPATH="$work/$name/plugins" ARGOCD_CMP_WORKDIR="$work/$name/cmp" \
        SOPS_AGE_KEY_FILE="$age_key" ARGOCD_SOPS_POLICY=open "$@" "${command[@]}"
    wait_for 20 "$(pid_of "$name")" test -S "$(socket_of "$name")" || die "$name made no socket: $(last_words "$name")"
}

server_stop() { end "$1"; rm -rf "${work:?}/$1"; }
