#include "train/generator.h"

#include <algorithm>

#include "kernels/elementwise/op.h"
#include "train/loaded_model.h"

namespace rk {
namespace {

constexpr int64_t prompt_segment = 256;  // tokens of a prompt that are computed at a time

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
  void forget(const Exec& ex) {
    for (const Tensor& t : tensors) run(ex, Fill{.x = t, .value = 0});
  }
};

}  // namespace

struct Generator::Impl {
  LoadedModel loaded;
  std::unique_ptr<State> state, next_state;
  Plan plan;
  Buffer tokens, logits, logits_on_host;
  std::vector<double> result;

  Impl(const std::string& path, DType dtype, const Machine& machine) : loaded(path, dtype, machine) {}
  Device device() const { return loaded.device(); }
  const Model& model() const { return loaded.model(); }

  void prepare();
  void run(std::span<const int32_t> ids, bool want_logits);
  Segment segment(int64_t n, bool want_logits) const;
};

// One segment of n tokens; without memory, for the dry run.
Segment Generator::Impl::segment(int64_t n, bool want_logits) const {
  Segment s;
  s.B = 1;
  s.T = n;
  s.tokens = tokens.size() ? tokens.tensor(DType::i32, {1, n}) : Tensor{nullptr, {1, n}, DType::i32, device()};
  if (want_logits && logits.size()) s.logits = logits.tensor(acc_dtype(model().dtype), {1, 1, model().n_vocab});
  return s;
}

void Generator::Impl::prepare() {
  plan = plan_forward(static_cast<int>(model().units.size()), 1);
  for (int64_t n : {prompt_segment, int64_t{1}}) {
    const std::vector<std::vector<Segment>> micro{{segment(n, true)}};
    StepIo io;
    io.micro = micro;
    loaded.make_room(plan, io);
  }
  tokens = Buffer(device(), prompt_segment * sizeof(int32_t));
  logits = Buffer(device(), static_cast<size_t>(model().n_vocab) * size_of(acc_dtype(model().dtype)));
  logits_on_host = Buffer(Device::cpu, logits.size());
  result.resize(static_cast<size_t>(model().n_vocab));
  state = std::make_unique<State>(model(), device());
  next_state = std::make_unique<State>(model(), device());
}

void Generator::Impl::run(std::span<const int32_t> ids, bool want_logits) {
  const std::vector<std::vector<Segment>> micro{{segment(static_cast<int64_t>(ids.size()), want_logits)}};
  copy(loaded.bare(), {const_cast<int32_t*>(ids.data()), {1, static_cast<int64_t>(ids.size())}, DType::i32, Device::cpu},
       micro[0][0].tokens);
  StepIo io;
  io.micro = micro;
  io.initial_state = state->tensors;
  io.final_state = next_state->tensors;
  loaded.runner().run(loaded.exec(), plan, io);
  std::swap(state, next_state);
}

Generator::Generator(const std::string& path, DType dtype, const Machine& machine) : impl_(std::make_unique<Impl>(path, dtype, machine)) {
  if (const std::string& why = impl_->model().why_no_segments; !why.empty())
    fail(cat(path, ": text cannot be made of it token by token: ", why, "; rookery eval measures its loss on whole samples"));
  impl_->prepare();
}

Generator::~Generator() = default;

int64_t Generator::vocab_size() const { return impl_->model().n_vocab; }
const std::map<std::string, std::string>& Generator::metadata() const { return impl_->loaded.metadata(); }

void Generator::forget() { impl_->state->forget(impl_->loaded.bare()); }

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
  const Tensor logits = impl_->logits.tensor(acc_dtype(impl_->model().dtype), {V});
  const Tensor on_host = impl_->logits_on_host.tensor(logits.dtype, {V}), out{impl_->result.data(), {V}, DType::f64, Device::cpu};
  copy(impl_->loaded.bare(), logits, on_host);
  rk::run({.pool = impl_->loaded.bare().pool}, Cast{.x = on_host, .y = out});
  return impl_->result;
}

}  // namespace rk
