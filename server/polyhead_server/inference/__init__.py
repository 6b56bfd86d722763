"""The Open Inference Protocol v2: heads as models, over gRPC and HTTP, through the same annotator.

`requests` and `answers` hold what is common to both wires; `grpc_wire` and `json_wire` know one
each.
"""
