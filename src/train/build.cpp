#include "train/build.h"

#include <algorithm>
#include <map>

#include "io/tensor_file.h"
#include "model/load.h"
#include "train/architecture.h"
#include "train/check_samples.h"
#include "train/dialects.h"
#include "train/fresh_values.h"
#include "train/run_plan.h"
#include "train/weight_stream.h"

namespace rk {
namespace {

constexpr size_t kStagedBytes = size_t{16} << 20;  // of a checkpoint on their way to a GPU at a time

// Tensors of what the run starts from, under plain names; empty for fresh weights.
std::vector<TensorInfo> tensors_of(const Start& start) {
  std::vector<TensorInfo> infos;
  if (start.kind == Start::Kind::weights) infos = open_tensor_file(start.path)->tensors();
  if (start.kind == Start::Kind::checkpoint) {
    const CheckpointReader reader(start.path);
    for (const TensorShape& t : reader.tensors()) {
      TensorInfo info;
      info.name = t.name;
      info.shape = t.shape;
      infos.push_back(std::move(info));
    }
  }
  for (TensorInfo& info : infos) info.name = plain_name(info.name);
  return infos;
}

std::unique_ptr<Model> checked_model(const Family& family, const ModelSpec& spec, const RunConfig& config) {
  check_with_run(spec, config);
  std::unique_ptr<Model> model = family.make(spec);
  check_samples(*model, batch_shape(config));
  prepare_training(*model, family, config);
  return model;
}

}  // namespace

DType model_dtype(const RunConfig& config) {
  if (config.precision == "bf16") return DType::bf16;
  if (config.precision == "fp16") return DType::f16;
  if (config.precision == "fp64") return DType::f64;
  require(config.precision == "fp32" || config.precision == "tf32" || config.precision.empty(), "validate() has resolved the precision");
  return DType::f32;
}

ModelSpec given_spec(const RunConfig& config) {
  ModelSpec given;
  given.arch = config.arch;
  given.n_layer = config.n_layer;
  given.n_embd = config.n_embd;
  given.vocab_size = config.vocab_size;
  given.head_size = config.head_size;
  given.dim_att = config.dim_att;
  given.dim_ffn = config.dim_ffn;
  given.decay_lora = config.decay_lora;
  given.aaa_lora = config.aaa_lora;
  given.mv_lora = config.mv_lora;
  given.gate_lora = config.gate_lora;
  given.mix_lora = config.mix_lora;
  given.head_size_divisor = config.head_size_divisor;
  given.old.head_qk = config.head_qk;
  if (config.tiny_att_layer >= 0 && config.tiny_att_dim > 0) {
    given.old.tiny_att_dim = config.tiny_att_dim;
    given.old.tiny_att_layer = config.tiny_att_layer;
  }
  given.old.pos_emb = config.my_pos_emb;
  given.old.pre_ffn = config.pre_ffn;
  given.old.ctx_len = config.ctx_len;
  given.time_state = config.state_tune;
  if (config.arch == "x040" || dialect_named(config.dialect).emb_by_lr) given.emb_init = config.lr_init;
  given.head_chunk = config.head_chunk;
  given.dtype = model_dtype(config);
  return given;
}

std::unique_ptr<Model> build_model(const RunConfig& config, const Start& start, const DataSet* data) {
  ModelSpec given = given_spec(config);
  const auto tensors = tensors_of(start);
  if (start.kind == Start::Kind::fresh) {
    if (given.vocab_size == 0) {
      if (!data) fail("--vocab_size is needed where there is no --data_file to take it from");
      given.vocab_size = data->vocabulary();
    }
    const Family& family = family_of(config.arch);
    return checked_model(family, family.spec_for_new(given), config);
  }
  const Family& family = family_of_file(tensors, start.path);
  return checked_model(family, family.spec_from_file(given, tensors, start.path), config);
}

void load_fresh(const Exec& ex, Model& model, Shards& shards, const RunConfig& config) {
  WeightStream stream(ex, model.dtype);
  FreshValues fresh(ex.pool, config);
  for (const OwnedPiece& piece : shards.owned_pieces()) fresh.put(stream, *piece.param, piece.first, piece.values);
}

std::vector<const Param*> load_tensors(const Exec& ex, Model& model, Shards& shards, TensorReader& reader, const WeightsFile& file) {
  const WeightMatch match = match_weights(model, reader, file.path, file.partial);
  std::map<const Param*, int> index(match.tensors.begin(), match.tensors.end());
  WeightStream stream(ex, model.dtype);
  std::vector<std::byte> read;  // where the file is not mapped as it is
  for (const OwnedPiece& piece : shards.owned_pieces()) {
    if (index.at(piece.param) < 0) continue;
    const auto i = static_cast<size_t>(index.at(piece.param));
    const DType dtype = reader.tensors()[i].dtype;
    if (const std::byte* numbers = reader.mapped(i)) {
      stream.put(piece.values, dtype, numbers + static_cast<size_t>(piece.first) * size_of(dtype));
      continue;
    }
    for (int64_t at = 0; at < piece.values.numel(); at += WeightStream::kAtATime) {
      const Tensor part = piece.values.slice(at, std::min(WeightStream::kAtATime, piece.values.numel() - at));
      read.resize(part.numel() * size_of(dtype));
      reader.read(i, piece.first + at, part.numel(), read.data());
      stream.put(part, dtype, read.data());
    }
  }
  return match.missing;
}

void load_from_file(const Exec& ex, Model& model, Shards& shards, const std::string& path, const RunConfig& config) {
  const auto reader = open_tensor_file(path);
  const auto missing = load_tensors(ex, model, shards, *reader, {path, config.load_partial});
  if (missing.empty()) return;
  WeightStream stream(ex, model.dtype);
  FreshValues fresh(ex.pool, config);
  for (const OwnedPiece& piece : shards.owned_pieces())
    if (std::find(missing.begin(), missing.end(), piece.param) != missing.end()) fresh.put(stream, *piece.param, piece.first, piece.values);
}

void load_start(const Exec& ex, Model& model, Shards& shards, const Start& start, const RunConfig& config) {
  if (start.kind == Start::Kind::fresh) return load_fresh(ex, model, shards, config);
  load_from_file(ex, model, shards, start.path, config);
}

void load_from_checkpoint(const Exec& ex, Shards& shards, CheckpointReader& reader) {
  Buffer staging;
  if (ex.device == Device::cuda) staging = Buffer(Device::pinned, kStagedBytes);
  for (const OwnedPiece& p : shards.owned_pieces())
    for (const auto& [part, tensor] : {std::pair{"master", p.master}, {"m", p.m}, {"v", p.v}}) {
      const int64_t n = tensor.numel();
      if (tensor.device != Device::cuda) {
        reader.read(p.param->name, part, p.first, n, tensor.dtype, tensor.data);
        continue;
      }
      const auto step = static_cast<int64_t>(kStagedBytes / size_of(tensor.dtype));
      for (int64_t at = 0; at < n; at += step) {
        const Tensor staged = staging.tensor(tensor.dtype, {std::min(step, n - at)});
        reader.read(p.param->name, part, p.first + at, staged.numel(), staged.dtype, staged.data);
        copy(ex, staged, tensor.slice(at, staged.numel()));
        synchronize(ex);
      }
    }
}

void load_weights_from_checkpoint(const Exec& ex, Model& model, Shards& shards, CheckpointReader& reader) {
  WeightStream stream(ex, model.dtype);
  const DType dtype = acc_dtype(model.dtype);
  std::vector<std::byte> read;
  for (const OwnedPiece& piece : shards.owned_pieces())
    for (int64_t at = 0; at < piece.values.numel(); at += WeightStream::kAtATime) {
      const Tensor part = piece.values.slice(at, std::min(WeightStream::kAtATime, piece.values.numel() - at));
      read.resize(static_cast<size_t>(part.numel()) * size_of(dtype));
      reader.read(piece.param->name, "master", piece.first + at, part.numel(), dtype, read.data());
      stream.put(part, dtype, read.data());
    }
}

FlatLayout flat_layout(Model& model, int world, int64_t max_bucket, int64_t shard_multiple) {
  std::vector<std::vector<Param*>> params;
  for (size_t u = 0; u < model.units.size(); ++u) params.push_back(model.params_of(static_cast<int>(u)));
  return make_flat_layout(params, world, max_bucket, shard_multiple);
}

std::vector<TensorShape> tensor_shapes(const Model& model) {
  std::vector<TensorShape> shapes;
  for (const Param& p : model.params.all()) shapes.push_back({p.name, {p.shape.size.begin(), p.shape.size.begin() + p.shape.rank}});
  return shapes;
}

}  // namespace rk
