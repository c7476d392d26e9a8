#include "train/generator.h"

#include <algorithm>
#include <filesystem>

#include "comm/backends.h"
#include "io/tensor_file.h"
#include "kernels/elementwise/op.h"
#include "model/families.h"
#include "train/build.h"
#include "train/checkpoint.h"
#include "train/runner.h"

namespace rk {
namespace {

constexpr int64_t prompt_segment = 256;  // tokens of a prompt that are computed at a time

std::string checkpoint_of(const std::string& folder) {
  if (std::filesystem::exists(folder + "/manifest.json")) return folder;
  std::vector<std::string> warnings;
  if (const auto newest = newest_checkpoint(folder, warnings)) return *newest;
  fail(cat(folder, " is no checkpoint folder and holds none; give a step-NNNNNNNN folder or a weights file"));
}

std::unique_ptr<Model> model_for(std::vector<TensorInfo> tensors, const std::string& path, DType dtype) {
  for (TensorInfo& t : tensors) t.name = plain_name(t.name);
  const Family& family = family_of_file(tensors, path);
  ModelSpec given;
  given.dtype = dtype;
  return family.make(family.spec_from_file(given, tensors, path));
}

// Owner of the state of all units, in the order that StepIo has.
struct State {
  std::vector<Buffer> buffers;
  std::vector<Tensor> tensors;

  State(const Model& model, Device device) {
    for (const auto& unit : model.units)
      for (const StateSpec& s : unit->state_specs(1)) {
        Tensor t;
        t.dtype = s.dtype;
        t.shape = s.shape;
        buffers.emplace_back(device, t.n_bytes());
        tensors.push_back(buffers.back().tensor(s.dtype, s.shape));
      }
  }
};

}  // namespace

struct Generator::Impl {
  ThreadPool pool;
  Gpu* gpu;  // null: the CPU
  std::unique_ptr<Comm> comm;
  std::unique_ptr<Model> model;
  std::unique_ptr<Shards> shards;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<State> state, next_state;
  std::map<std::string, std::string> metadata;
  Plan plan;
  Arena kept, scratch;
  Buffer tokens, logits, logits_on_host;
  std::vector<double> result;

  explicit Impl(const Machine& machine) : pool(machine.threads), gpu(machine.gpu), comm(make_self_comm(machine.gpu)) {}
  Device device() const { return gpu ? Device::cuda : Device::cpu; }
  Exec loading() { return {.device = device(), .pool = &pool, .gpu = gpu}; }  // without arenas: these are still counting then
  Exec exec() { return {.device = device(), .pool = &pool, .kept = &kept, .scratch = &scratch, .gpu = gpu}; }

  void load_file(const std::string& path, DType dtype);
  void load_folder(const std::string& folder, DType dtype);
  void prepare();
  void run(std::span<const int32_t> ids, bool want_logits);
  Segment segment(int64_t n, bool want_logits) const;
};

void Generator::Impl::load_file(const std::string& path, DType dtype) {
  const auto reader = open_tensor_file(path);
  metadata = reader->metadata();
  model = model_for(reader->tensors(), path, dtype);
  shards = std::make_unique<Shards>(loading(), *comm, flat_layout(*model, 1), ShardsOptions{.dtype = dtype, .training = false});
  load_tensors(loading(), *model, *shards, *reader, {path});
  shards->refresh_weights(loading());
}

void Generator::Impl::load_folder(const std::string& folder, DType dtype) {
  CheckpointReader reader(folder);
  std::vector<TensorInfo> infos;
  for (const TensorShape& t : reader.tensors()) {
    infos.emplace_back();
    infos.back().name = t.name;
    infos.back().shape = t.shape;
  }
  model = model_for(infos, folder, dtype);
  shards = std::make_unique<Shards>(loading(), *comm, flat_layout(*model, 1), ShardsOptions{.dtype = dtype, .training = false});
  load_weights_from_checkpoint(loading(), *model, *shards, reader);
  shards->refresh_weights(loading());
}

// One segment of n tokens; without memory, for the dry run.
Segment Generator::Impl::segment(int64_t n, bool want_logits) const {
  Segment s;
  s.B = 1;
  s.T = n;
  s.tokens = tokens.size() ? tokens.tensor(DType::i32, {1, n}) : Tensor{nullptr, {1, n}, DType::i32, device()};
  if (want_logits && logits.size()) s.logits = logits.tensor(acc_dtype(model->dtype), {1, 1, model->n_vocab});
  return s;
}

void Generator::Impl::prepare() {
  plan = plan_forward(static_cast<int>(model->units.size()), 1);
  for (int64_t n : {prompt_segment, int64_t{1}}) {
    Arena dry_kept(device()), dry_scratch(device());
    const Exec dry{.device = device(), .pool = &pool, .kept = &dry_kept, .scratch = &dry_scratch, .gpu = gpu};
    const std::vector<std::vector<Segment>> micro{{segment(n, true)}};
    StepIo io;
    io.micro = micro;
    Runner(*model, nullptr).run(dry, plan, io);
    if (dry_kept.peak() > kept.capacity()) kept = Arena(Buffer(device(), dry_kept.peak()));
    if (dry_scratch.peak() > scratch.capacity()) scratch = Arena(Buffer(device(), dry_scratch.peak()));
  }
  tokens = Buffer(device(), prompt_segment * sizeof(int32_t));
  logits = Buffer(device(), static_cast<size_t>(model->n_vocab) * size_of(acc_dtype(model->dtype)));
  logits_on_host = Buffer(Device::cpu, logits.size());
  result.resize(static_cast<size_t>(model->n_vocab));
  state = std::make_unique<State>(*model, device());
  next_state = std::make_unique<State>(*model, device());
  runner = std::make_unique<Runner>(*model, shards.get());
}

void Generator::Impl::run(std::span<const int32_t> ids, bool want_logits) {
  const std::vector<std::vector<Segment>> micro{{segment(static_cast<int64_t>(ids.size()), want_logits)}};
  copy(loading(), {const_cast<int32_t*>(ids.data()), {1, static_cast<int64_t>(ids.size())}, DType::i32, Device::cpu}, micro[0][0].tokens);
  StepIo io;
  io.micro = micro;
  io.initial_state = state->tensors;
  io.final_state = next_state->tensors;
  runner->run(exec(), plan, io);
  std::swap(state, next_state);
}

Generator::Generator(const std::string& path, DType dtype, const Machine& machine) : impl_(std::make_unique<Impl>(machine)) {
  if (!std::filesystem::exists(path)) fail(cat(path, " does not exist; give a weights file or a checkpoint folder"));
  if (std::filesystem::is_directory(path)) {
    impl_->load_folder(checkpoint_of(path), dtype);
  } else {
    impl_->load_file(path, dtype);
  }
  impl_->prepare();
}

Generator::~Generator() = default;

int64_t Generator::vocab_size() const { return impl_->model->n_vocab; }
const std::map<std::string, std::string>& Generator::metadata() const { return impl_->metadata; }

std::span<const double> Generator::feed(std::span<const int32_t> ids) {
  require(!ids.empty(), "there is a token to read");
  for (int32_t id : ids)
    if (id < 0 || id >= vocab_size()) fail(cat("the token ", id, " is outside the model's vocabulary of ", vocab_size(), " ids"));
  while (ids.size() > 1) {
    const size_t n = std::min<size_t>(prompt_segment, ids.size() - 1);
    impl_->run(ids.first(n), false);
    ids = ids.subspan(n);
  }
  impl_->run(ids, true);
  const int64_t V = vocab_size();
  const Tensor logits = impl_->logits.tensor(acc_dtype(impl_->model->dtype), {V});
  const Tensor on_host = impl_->logits_on_host.tensor(logits.dtype, {V}), out{impl_->result.data(), {V}, DType::f64, Device::cpu};
  copy(impl_->loading(), logits, on_host);
  rk::run({.pool = &impl_->pool}, Cast{.x = on_host, .y = out});
  return impl_->result;
}

}  // namespace rk
