#include "train/build.h"

#include <algorithm>

#include "io/tensor_file.h"
#include "model/load.h"
#include "params/init.h"

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

// The fresh values of one parameter as a file of the model's dtype would hold them.
std::vector<double> rounded_fresh_values(const Exec& ex, const Model& model, const Param& p, const RunConfig& config) {
  std::vector<double> values =
      config.init == "normal" ? quick_values(p, seed_of(config), ex.pool) : fresh_values(p, seed_of(config), ex.pool);
  const auto round = [&](const auto& rounded) {
    ex.pool->parallel_for(static_cast<int64_t>(values.size()), int64_t{1} << 16, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        values[i] = static_cast<double>(rounded(static_cast<float>(values[i])));
    });
  };
  if (model.dtype == DType::f32) round([](float x) { return x; });
  if (model.dtype == DType::bf16) round([](float x) { return bf16(x); });
  if (model.dtype == DType::f16) round([](float x) { return to_float(to_f16(x)); });
  return values;
}

}  // namespace

DType model_dtype(const RunConfig& config) {
  if (config.precision == "bf16") return DType::bf16;
  if (config.precision == "fp16") return DType::f16;
  if (config.precision == "fp64") return DType::f64;
  require(config.precision == "fp32" || config.precision == "tf32" || config.precision.empty(), "validate() has resolved the precision");
  return DType::f32;
}

int64_t vocabulary_of(const Binidx& data) {
  std::vector<int32_t> block(1 << 16);
  int32_t largest = 0;
  for (int64_t at = 0; at < data.n_tokens(); at += static_cast<int64_t>(block.size())) {
    const auto n = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(block.size()), data.n_tokens() - at));
    data.read_flat(at, std::span(block).first(n), 0);
    largest = std::max(largest, *std::max_element(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(n)));
  }
  return largest + 1;
}

uint64_t seed_of(const RunConfig& config) { return config.random_seed < 0 ? 42 : static_cast<uint64_t>(config.random_seed); }

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
  given.head_chunk = config.head_chunk;
  given.dtype = model_dtype(config);
  return given;
}

std::unique_ptr<Model> build_model(const RunConfig& config, const Start& start, const Binidx* data) {
  ModelSpec given = given_spec(config);
  const auto tensors = tensors_of(start);
  if (start.kind == Start::Kind::fresh) {
    if (given.vocab_size == 0) {
      if (!data) fail("--vocab_size is needed where there is no --data_file to take it from");
      given.vocab_size = vocabulary_of(*data);
    }
    const Family& family = family_of(config.arch);
    return family.make(family.spec_for_new(given));
  }
  const Family& family = family_of_file(tensors, start.path);
  return family.make(family.spec_from_file(given, tensors, start.path));
}

void load_fresh(const Exec& ex, Model& model, Shards& shards, const RunConfig& config) {
  for (const Param& p : model.params.all()) shards.set(ex, p, 0, rounded_fresh_values(ex, model, p, config));
}

void load_from_file(const Exec& ex, Model& model, Shards& shards, const std::string& path, const RunConfig& config) {
  const auto reader = open_tensor_file(path);
  const auto missing =
      load_weights(model, *reader, path, config.load_partial,
                   [&](const Param& p, int64_t first, std::span<const double> values) { shards.set(ex, p, first, values); });
  for (const Param* p : missing) shards.set(ex, *p, 0, rounded_fresh_values(ex, model, *p, config));
}

void load_from_checkpoint(const Exec& ex, Shards& shards, CheckpointReader& reader) {
  Buffer staging;
  if (ex.device == Device::cuda) staging = Buffer(Device::pinned, kStagedBytes);
  for (const OwnedPiece& p : shards.owned_pieces())
    for (const auto& [part, tensor] : {std::pair{"master", p.master}, {"m", p.m}, {"v", p.v}}) {
      const int64_t n = tensor.numel();
      if (tensor.device == Device::cpu) {
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

FlatLayout flat_layout(Model& model, int world, int64_t max_bucket) {
  std::vector<std::vector<Param*>> params;
  for (size_t u = 0; u < model.units.size(); ++u) params.push_back(model.params_of(static_cast<int>(u)));
  return make_flat_layout(params, world, max_bucket);
}

std::vector<TensorShape> tensor_shapes(const Model& model) {
  std::vector<TensorShape> shapes;
  for (const Param& p : model.params.all()) shapes.push_back({p.name, {p.shape.size.begin(), p.shape.size.begin() + p.shape.rank}});
  return shapes;
}

}  // namespace rk
