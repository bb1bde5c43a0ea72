//! The one table of settings: `--help`, the README and the checks come from it.

/// One setting of the operator: an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// What it holds, in words.
    pub kind: &'static str,
    /// What holds without it; `-` for nothing.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// All settings, in the order in which people ask for them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "ARGOCD_SOPS_POLICY",
        kind: "`open`",
        default: "-",
        help: "Who may decrypt, in a plugin: `open` lets every project use every key of the process. Without it every decryption is refused. Policies for each project are not supported yet. In a terminal (`generate APP.yaml`, `decrypt`) no policy is needed.",
    },
    Setting {
        name: "ARGOCD_SOPS_KEYS",
        kind: "files or folders, `:` between",
        default: "/etc/argocd-sops/keys",
        help: "Where private keys are mounted: age identities, SSH keys, PGP secret keys, told apart by their content.",
    },
    Setting {
        name: "ARGOCD_SOPS_HELM",
        kind: "program",
        default: "helm",
        help: "The helm (3 or 4) that renders: a path, or a name to be found on PATH.",
    },
    Setting {
        name: "ARGOCD_SOPS_HELM_MEMORY",
        kind: "bytes, like `512Mi`",
        default: "1Gi",
        help: "The most memory that one helm may have; one that wants more fails, and nobody else does.",
    },
    Setting {
        name: "ARGOCD_SOPS_TIMEOUT",
        kind: "duration",
        default: "90s",
        help: "How long one render may take, `1h` at most.",
    },
    Setting {
        name: "ARGOCD_SOPS_ENCRYPTED_KINDS",
        kind: "kinds, `,` between",
        default: "-",
        help: "Kinds whose objects carry ciphertext on purpose, such as `SopsSecret`; any other object that is still encrypted is an error.",
    },
    Setting {
        name: "ARGOCD_SOPS_LOG_LEVEL",
        kind: "`error`, `warn`, `info`, `debug`, `trace`",
        default: "warn, in serve and on a terminal info",
        help: "How much is logged to stderr. No level shows a secret.",
    },
    Setting {
        name: "ARGOCD_SOPS_LOG_FORMAT",
        kind: "`text` or `json`",
        default: "text, in serve json",
        help: "How log lines look.",
    },
    Setting {
        name: "ARGOCD_SOPS_HTTP_ADDRESS",
        kind: "`:8087` or `127.0.0.1:8087`",
        default: "-",
        help: "Where `serve` answers `/metrics` (Prometheus), `/healthz` and `/readyz`. Without it there is no port. `/readyz` says whether calls are taken, whatever keys and policy are like.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_LOGLEVEL",
        kind: "as `ARGOCD_SOPS_LOG_LEVEL`",
        default: "info",
        help: "As for the stock server, in `serve`, where `ARGOCD_SOPS_LOG_LEVEL` is not set.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_LOGFORMAT",
        kind: "`text` or `json`",
        default: "json",
        help: "As for the stock server, in `serve`, where `ARGOCD_SOPS_LOG_FORMAT` is not set.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_OTLP_ADDRESS",
        kind: "`host:port`",
        default: "-",
        help: "As for the stock server: the OpenTelemetry collector (OTLP over gRPC) that `serve` sends traces to. The service is called `argocd-sops`.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_OTLP_INSECURE",
        kind: "`true` or `false`",
        default: "true",
        help: "As for the stock server: without TLS. With TLS the system's certificates count (`SSL_CERT_FILE`).",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_OTLP_HEADERS",
        kind: "`name=value`, `,` between",
        default: "-",
        help: "As for the stock server: headers for the collector.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_OTLP_ATTRS",
        kind: "`key:value`, `,` between",
        default: "-",
        help: "As for the stock server: attributes of all traces; `service.name:NAME` gives the service another name.",
    },
    Setting {
        name: "ARGOCD_CMP_SERVER_OTLP_SAMPLE_RATIO",
        kind: "0 to 1",
        default: "1",
        help: "As for the stock server: the part of the traces that is sent, where the caller has not decided.",
    },
    Setting {
        name: "ARGOCD_CMP_WORKDIR",
        kind: "folder",
        default: "TMPDIR, else /tmp",
        help: "Where `serve` unpacks archives, and where a private copy of a chart is made while its dependencies are built. Nothing decrypted is written there.",
    },
    Setting {
        name: "ARGOCD_PLUGINSOCKFILEPATH",
        kind: "folder",
        default: "/home/argocd/cmp-server/plugins",
        help: "For `serve`: the folder in which the repo-server looks for plugins.",
    },
    Setting {
        name: "ARGOCD_SOPS_PLUGIN_NAME",
        kind: "name",
        default: "sops",
        help: "For `serve`: the name by which Applications call the plugin. Another one serves beside the first, to try a new version on some of them.",
    },
    Setting {
        name: "ARGOCD_SOPS_ALLOWED_UIDS",
        kind: "user ids, `,` between",
        default: "-",
        help: "For `serve`: users that may connect beside its own. The repo-server has to be one of them.",
    },
    Setting {
        name: "ARGOCD_GRPC_MAX_SIZE_MB",
        kind: "number of MiB",
        default: "100",
        help: "For `serve`: the largest message, both ways. The repo-server has the same variable.",
    },
    Setting {
        name: "ARGOCD_SOPS_DRAIN",
        kind: "duration",
        default: "20s",
        help: "For `serve`: how long clients may stay connected after SIGTERM. Calls that are running are answered in any case.",
    },
    Setting {
        name: "ARGOCD_SOPS_HELM_RUNS",
        kind: "number",
        default: "by cores and memory",
        help: "For `serve`: how many helms may run at once; more requests wait, first come first served.",
    },
    Setting {
        name: "ARGOCD_SOPS_TREE_SIZE",
        kind: "bytes, like `512Mi`",
        default: "2Gi",
        help: "For `serve`: the most that one archive may unpack to.",
    },
    Setting {
        name: "ARGOCD_SOPS_TREE_ENTRIES",
        kind: "number",
        default: "200000",
        help: "For `serve`: the most files, folders and links of one archive.",
    },
    Setting {
        name: "ARGOCD_SOPS_TREES_SIZE",
        kind: "bytes, like `512Mi`",
        default: "2Gi",
        help: "For `serve`: how much of unpacked archives is kept, for the next application of the same commit and for the next commit.",
    },
    Setting {
        name: "ARGOCD_SOPS_TREES_KEEP",
        kind: "duration",
        default: "10m",
        help: "For `serve`: how long an unpacked archive is kept after its last use.",
    },
    Setting {
        name: "ARGOCD_SOPS_TREES_BY_COMMIT",
        kind: "`true` or `false`",
        default: "true",
        help: "For `serve`: whether a repository and a full commit id name a tree, so that it is unpacked once also where `.git` makes each archive differ.",
    },
    Setting {
        name: "ARGOCD_SOPS_RENDERS_SIZE",
        kind: "bytes, like `512Mi`",
        default: "64Mi",
        help: "For `serve`: how much of rendered objects is kept in memory, for 15 minutes at most; `0` keeps none. Charts that use time or randomness are rendered each time.",
    },
    Setting {
        name: "ARGOCD_SOPS_DATA_KEYS_KEEP",
        kind: "duration",
        default: "5m",
        help: "For `serve`: how long unwrapped data keys are kept in memory; `0` keeps none.",
    },
    Setting {
        name: "SOPS_AGE_KEY",
        kind: "age identities",
        default: "-",
        help: "As for sops. Prefer a mounted file: other processes of the container can read a variable.",
    },
    Setting {
        name: "SOPS_AGE_KEY_FILE",
        kind: "file",
        default: "sops/age/keys.txt in the user's configuration folder",
        help: "As for sops: a file of age identities. The default file is read as well.",
    },
    Setting {
        name: "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
        kind: "file",
        default: "~/.ssh/id_ed25519, ~/.ssh/id_rsa",
        help: "As for sops: an SSH private key. The default files are read as well.",
    },
    Setting {
        name: "SOPS_AGE_KEY_CMD",
        kind: "command",
        default: "-",
        help: "As for sops, but in `decrypt` only: a command that prints age identities.",
    },
    Setting {
        name: "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
        kind: "command",
        default: "-",
        help: "As for sops, but in `decrypt` only: a command that prints an SSH private key.",
    },
    Setting {
        name: "SOPS_DECRYPTION_ORDER",
        kind: "key types, `,` between",
        default: "age,pgp",
        help: "As for sops: which kinds of master keys are tried first.",
    },
];
