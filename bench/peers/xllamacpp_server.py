"""Run llama.cpp's own server from the package xllamacpp: MODEL SLOTS CONTEXT THREADS PORT."""

import signal
import sys

import xllamacpp

model, slots, context, threads, port = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path = model
params.n_parallel = slots
params.n_ctx = slots * context
params.n_batch = params.n_ubatch = 512
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_gpu_layers = 0
params.cont_batching = True
params.kv_unified = False
params.hostnames = ["127.0.0.1"]
params.port = port
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
