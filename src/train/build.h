// From a configuration to the model that a run trains, and its weights into the shards.
#pragma once
#include <limits>
#include <memory>
#include <string>

#include "data/open_data.h"
#include "model/families.h"
#include "shard/shards.h"
#include "train/checkpoint.h"
#include "train/run_config.h"
#include "train/start.h"

namespace rk {

DType model_dtype(const RunConfig& config);
ModelSpec given_spec(const RunConfig& config);  // the sizes that the flags give; 0 where they do not

// The model's sizes: of the file that `start` names, or of the flags and the reference's rules; contradictions are refused.
// data: for the vocabulary size where nothing else says it.
std::unique_ptr<Model> build_model(const RunConfig& config, const Start& start, const DataSet* data);

// A weights file that a model is loaded from. partial: it may lack some of the model's tensors, and have others.
struct WeightsFile {
  std::string path;
  bool partial = false;
};
// The pieces that this rank owns, from fresh values, rounded to the model's dtype as the file rwkv-init.pth holds them, or from a weights
// file. Each rank computes and reads what it owns; Shards::refresh_weights(), on all ranks, then makes the weights of them.
void load_fresh(const Exec& ex, Model& model, Shards& shards, const RunConfig& config);
// Returns what the file lacks and `file.partial` allows it to lack.
std::vector<const Param*> load_tensors(const Exec& ex, Model& model, Shards& shards, TensorReader& reader, const WeightsFile& file);
void load_from_file(const Exec& ex, Model& model, Shards& shards, const std::string& path, const RunConfig& config);
// What a run begins with that does not go on from a checkpoint: fresh weights or those of a file.
void load_start(const Exec& ex, Model& model, Shards& shards, const Start& start, const RunConfig& config);
// Exactly the state of a checkpoint, from any rank count and stage.
void load_from_checkpoint(const Exec& ex, Shards& shards, CheckpointReader& reader);
// Its weights alone, rounded to the model's dtype.
void load_weights_from_checkpoint(const Exec& ex, Model& model, Shards& shards, CheckpointReader& reader);

// max_bucket, shard_multiple: elements.
FlatLayout flat_layout(Model& model, int world, int64_t max_bucket = std::numeric_limits<int64_t>::max(),
                       int64_t shard_multiple = kPlacementAlign);
std::vector<TensorShape> tensor_shapes(const Model& model);

}  // namespace rk
