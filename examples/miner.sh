#!/bin/sh
# Run a miner on another machine.
#
# That machine has this checkout, Python 3.11 and a C/C++ compiler. It needs no database, no Django
# and nothing of the router's but its address:
#
#     python3 -m venv .venv && .venv/bin/pip install -r requirements-node.txt
#
# The operator tells you four things, which `make run` has in var/deployment.json: ROUTER_URL,
# RPC_URL, and the addresses of NodePool and SessionQueue.
#
#     ROUTER_URL=http://127.0.0.1:5010 RPC_URL=http://127.0.0.1:8545 \
#       POOL_ADDRESS=0x… QUEUE_ADDRESS=0x… sh examples/miner.sh
#
# The first start makes a key and stops for want of gas: the registration is the node's own
# transaction. Send the printed address some, and start again. On a chain of `make run`:
#
#     curl $RPC_URL -H "Content-Type: application/json" \
#       -d '{"jsonrpc": "2.0", "id": 1, "method": "anvil_setBalance", "params": ["0x…", "0xde0b6b3a7640000"]}'
#
# The operator then lets the node work for users:
#
#     .venv/bin/python manage.py admit_miner --address 0x…
#
# docs/miner.md has the rest: stake, memory, TLS, a systemd unit.
set -eu

: "${ROUTER_URL:?the address of a router}" "${RPC_URL:?an endpoint of the chain}"
: "${POOL_ADDRESS:?the address of NodePool}" "${QUEUE_ADDRESS:?the address of SessionQueue}"
PYTHON=${PYTHON:-.venv/bin/python}
# Which model, and the number by which the network calls it: `make run` has the shipped one as 2.
MODEL=${MODEL:-mining/node/models/cortensor-mini.gguf}
MODEL_NUMBER=${MODEL_NUMBER:-2}
export ROUTER_URL RPC_URL POOL_ADDRESS QUEUE_ADDRESS
unset MODELS

# All that the node keeps lies in ~/.cortensor-node, or in CORTENSOR_NODE_HOME.
echo "── this node: $("$PYTHON" -m mining.node init)"
env -u MODEL "$PYTHON" -m mining.node models add "$MODEL_NUMBER" "$MODEL"

case $("$PYTHON" -m mining.node status || true) in
  *'"state": "unknown"'*)
    echo "── registering it with NodePool"
    "$PYTHON" -m mining.node register
    ;;
esac

# It asks the router for its mailbox by proof of its key, then works until SIGTERM or Ctrl-C.
exec env -u MODEL "$PYTHON" -m mining.node run --models "$MODEL_NUMBER"
