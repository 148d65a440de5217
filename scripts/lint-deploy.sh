#!/bin/sh
# Checks every file in deploy/ with every tool that is here, and says of each tool that is not what was left out.
# From the environment: BIN, the folder of the tools that pip installs; TOOLS, folders of others (helm, promtool) before PATH.
set -eu
BIN=${BIN:-.venv/bin}
PATH=${TOOLS:+$TOOLS:}$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skipped=0
failed=0

# check NAME TOOL COMMAND...: runs the command where the tool is; a failure is told at the end, after all the others.
check() {
    name=$1 tool=$2
    shift 2
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "SKIPPED $name: $tool is not installed"
        skipped=$((skipped + 1))
    elif "$@" >"$work/output" 2>&1; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$work/output"
        failed=$((failed + 1))
    fi
}

# In these, every command that may fail says so itself: `set -e` does not hold inside of a condition.
units() {
    # The program's place is another one here; everything else is verified as it stands.
    program=$(realpath "$BIN/bookmatch")
    for unit in deploy/systemd/*; do
        sed "s|/opt/bookmatch/bin/bookmatch|$program|" "$unit" >"$work/${unit##*/}"
    done
    # It warns of what it does not understand, and succeeds all the same.
    for unit in "$work"/*.service "$work"/*.timer; do
        said=$(systemd-analyze verify --man=no "$unit" 2>&1) || { echo "$said"; return 1; }
        case $said in *"${unit##*/}"*) echo "$said"; return 1 ;; esac
    done
    for unit in "$work"/*.service; do
        systemd-analyze security --no-pager --offline=true --threshold=20 "$unit" || return 1
    done
}

chart() {
    helm lint --strict deploy/helm/bookmatch || return 1
    for set in "setup=false" "setup=true" "redis.existingSecret=redis,storage.existingClaim=shop,storage.size=1Gi" \
        "retrain.enabled=false" "serviceMonitor.enabled=true,prometheusRule.enabled=true"; do
        helm template shop deploy/helm/bookmatch --set "$set" >"$work/chart-$set.yaml" || return 1
    done
    # An unknown value must be refused.
    ! helm template shop deploy/helm/bookmatch --set replicas=2 >/dev/null
}

manifests() {
    # Without those of the Prometheus operator, whose shapes are not Kubernetes' own.
    for file in "$work"/chart-*.yaml; do
        case $file in *serviceMonitor*) continue ;; esac
        "$BIN/kubernetes-validate" --strict --quiet "$file" || return 1
    done
}

rules() {
    (cd deploy/prometheus && promtool check config prometheus.yaml && promtool test rules alerts_test.yaml) || return 1
    # The chart hands on the same rules.
    [ ! -e "$work/chart-serviceMonitor.enabled=true,prometheusRule.enabled=true.yaml" ] ||
        "$BIN/python" - "$work/chart-serviceMonitor.enabled=true,prometheusRule.enabled=true.yaml" <<'PYTHON'
import sys, yaml
documents = yaml.safe_load_all(open(sys.argv[1]))
(rendered,) = [each["spec"] for each in documents if each["kind"] == "PrometheusRule"]
sys.exit(rendered != yaml.safe_load(open("deploy/prometheus/alerts.yaml")))
PYTHON
}

check "shell scripts (shellcheck)" shellcheck shellcheck deploy/entrypoint.sh scripts/*.sh
check "YAML (yamllint)" "$BIN/yamllint" "$BIN/yamllint" --strict --config-file deploy/.yamllint.yaml \
    deploy/compose.yaml deploy/prometheus deploy/grafana/provisioning deploy/helm/bookmatch/Chart.yaml \
    deploy/helm/bookmatch/values.yaml
check "Dockerfile (hadolint)" "$BIN/hadolint" "$BIN/hadolint" deploy/Dockerfile
check "compose.yaml against the specification's schema" "$BIN/check-jsonschema" \
    "$BIN/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
compose() { docker compose --file deploy/compose.yaml --profile tools config --quiet; }
if docker compose version >/dev/null 2>&1; then
    check "compose.yaml as docker reads it" docker compose
else
    check "compose.yaml as docker reads it" "docker compose" compose
fi
check "schema of the chart's values" "$BIN/check-jsonschema" \
    "$BIN/check-jsonschema" --check-metaschema deploy/helm/bookmatch/values.schema.json
check "chart (helm lint, helm template)" helm chart
check "chart's manifests against Kubernetes' schemas" "$BIN/kubernetes-validate" manifests
check "rules and their tests (promtool)" promtool rules
check "systemd units (systemd-analyze verify, security)" systemd-analyze units

echo "$failed failed, $skipped left out"
[ "$failed" = 0 ]
