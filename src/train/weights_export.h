// Weights of a running model to one file, whatever the sharding.
#pragma once
#include <map>
#include <string>

#include "nn/unit.h"
#include "shard/shards.h"

namespace rk {

// Collective: rank 0 writes all tensors (where some are frozen: those that are trained) under their file names in the model's dtype,
// streaming; under ZeRO-3 units are gathered one
// at a time. An error of rank 0 is thrown on every rank, earlier files under that name stay as they were.
void export_weights(const Exec& ex, Model& model, Shards& shards, const std::string& path,
                    const std::map<std::string, std::string>& metadata = {});

}  // namespace rk
