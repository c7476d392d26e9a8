// Runs a model through the product's plan, runner and shards on one rank, with values as plain vectors of double.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "comm/backends.h"
#include "model/families.h"
#include "model/load.h"
#include "params/init.h"
#include "support/on_device.h"
#include "train/plan.h"
#include "train/runner.h"

namespace rk::test {

// By "blocks.0.wkv", "blocks.0.att.x_r", ...
using Values = std::map<std::string, std::vector<double>>;

struct RunInput {
  int64_t B = 1, T = 1;
  std::vector<int32_t> tokens, targets;  // [B,T]; targets may be empty in a forward run
  std::vector<float> weights;            // [B,T] or empty
  std::vector<uint8_t> resets;           // [B,T] or empty
  std::vector<int64_t> segments;         // lengths; empty: one of T
  double loss_scale = 1;                 // d objective / d loss
  double l2_factor = 0;                  // L2Wrap: factor / (B T)
  std::vector<double> l2_scales;         // in place of that, one for each segment
  bool truncated = false, grad_cp = false, keep_less = false;
  PlanOrder order = PlanOrder::layer;
  Values initial_state, dfinal_state;  // missing entries are zero; empty maps are not handed over at all
  bool want_dinitial = false;
};

struct RunOutput {
  double loss = 0;                       // weighted mean
  std::vector<double> logits, row_loss;  // [B,T,V], [B,T]
  Values grads, final_state, dinitial_state;
  size_t kept_peak = 0, scratch_peak = 0;          // of the real run
  size_t kept_capacity = 0, scratch_capacity = 0;  // as the dry run asked for
  bool rewound = false;                            // both arenas ended where they began
};

class ModelRunner {
 public:
  // gpu: null for the CPU.
  explicit ModelRunner(std::unique_ptr<Model> model, int threads = 2, Gpu* gpu = nullptr)
      : model_(std::move(model)),
        pool_(threads),
        gpu_(gpu),
        comm_(make_self_comm(gpu)),
        shards_(plain(), *comm_, layout(), {.dtype = model_->dtype}) {}

  Model& model() { return *model_; }
  Shards& shards() { return shards_; }

  void set(const std::string& name, std::span<const double> values) { shards_.set(plain(), model_->params.at(name), 0, values); }
  void set_all(const std::function<std::vector<double>(const Param&)>& values) {
    for (const Param& p : model_->params.all()) shards_.set(plain(), p, 0, values(p));
  }
  void load(const std::string& path) {
    const auto reader = open_tensor_file(path);
    load_weights(*model_, *reader, path, false,
                 [&](const Param& p, int64_t first, std::span<const double> values) { shards_.set(plain(), p, first, values); });
  }

  // Loss and logits.
  RunOutput forward(const RunInput& in) { return run(in, plan_forward(n_units(), n_segments(in)), false); }
  // And all gradients.
  RunOutput train(const RunInput& in) {
    return run(
        in,
        plan_step(
            {.n_units = n_units(), .n_segments = n_segments(in), .order = in.order, .grad_cp = in.grad_cp, .truncated = in.truncated}),
        true);
  }

 private:
  static Tensor shaped(DType dtype, Shape shape) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    return t;
  }
  // Owner of the tensors of one run.
  class Pool {
   public:
    explicit Pool(const Exec& ex) : ex_(ex) {}
    const Exec& ex() const { return ex_; }
    Tensor take(DType dtype, Shape shape) {
      const Tensor t = shaped(dtype, shape);
      buffers_.emplace_back(ex_.device, t.n_bytes());
      return buffers_.back().tensor(dtype, shape);
    }

   private:
    Exec ex_;
    std::vector<Buffer> buffers_;
  };

  FlatLayout layout() {
    std::vector<std::vector<Param*>> params;
    for (int u = 0; u < n_units(); ++u) params.push_back(model_->params_of(u));
    return make_flat_layout(params, 1);
  }
  int n_units() const { return static_cast<int>(model_->units.size()); }
  static std::vector<int64_t> lengths(const RunInput& in) { return in.segments.empty() ? std::vector<int64_t>{in.T} : in.segments; }
  static int n_segments(const RunInput& in) { return static_cast<int>(lengths(in).size()); }
  Device device() const { return gpu_ ? Device::cuda : Device::cpu; }
  Exec plain() { return {.device = device(), .pool = &pool_, .gpu = gpu_}; }

  // Tokens [t, t + T) of all rows of a [B,T] vector.
  template <class V>
  static Tensor part(Pool& pool, const std::vector<V>& all, const RunInput& in, int64_t t, int64_t T, DType dtype) {
    if (all.empty()) return {};
    const Tensor piece = pool.take(dtype, {in.B, T});
    std::vector<V> rows;
    for (int64_t b = 0; b < in.B; ++b) rows.insert(rows.end(), all.begin() + b * in.T + t, all.begin() + b * in.T + t + T);
    copy(pool.ex(), {rows.data(), piece.shape, piece.dtype, Device::cpu}, piece);
    return piece;
  }

  std::vector<Segment> segments(Pool& pool, const RunInput& in, Tensor loss_sum) {
    std::vector<Segment> result;
    const DType acc = acc_dtype(model_->dtype);
    require(in.l2_scales.empty() || in.l2_scales.size() == lengths(in).size(), "each segment has an L2 scale or none has");
    int64_t t = 0;
    for (int64_t T : lengths(in)) {
      Segment s;
      s.B = in.B;
      s.T = T;
      s.tokens = part(pool, in.tokens, in, t, T, DType::i32);
      s.targets = part(pool, in.targets, in, t, T, DType::i32);
      s.weights = part(pool, in.weights, in, t, T, DType::f32);
      s.resets = part(pool, in.resets, in, t, T, DType::u8);
      s.scale = in.loss_scale / counted(in);
      s.l2_scale = in.l2_scales.empty() ? in.l2_factor / static_cast<double>(in.B * in.T) : in.l2_scales[result.size()];
      s.loss_sum = loss_sum;
      if (s.targets) s.row_loss = pool.take(acc, {in.B, T});
      s.logits = pool.take(acc, {in.B, T, model_->n_vocab});
      result.push_back(s);
      t += T;
    }
    require(t == in.T, "segments make up the sequence");
    return result;
  }
  static double counted(const RunInput& in) {
    double sum = 0;
    for (size_t i = 0; i < in.targets.size(); ++i)
      if (in.targets[i] >= 0) sum += in.weights.empty() ? 1 : static_cast<double>(in.weights[i]);
    return sum > 0 ? sum : 1;
  }

  // Views without memory, for the dry run.
  static std::vector<Segment> shapes_of(std::vector<Segment> segments) {
    for (Segment& s : segments)
      for (Tensor* t : {&s.tokens, &s.targets, &s.weights, &s.resets, &s.loss_sum, &s.row_loss, &s.logits}) t->data = nullptr;
    return segments;
  }

  // One tensor per state of the model, in the order of units; `wide`: in the accumulation dtype.
  std::vector<Tensor> states(Pool& pool, int64_t B, bool wide, const Values& values) {
    std::vector<Tensor> all;
    each_state(B, [&](const std::string& name, const StateSpec& spec) {
      all.push_back(pool.take(wide ? acc_dtype(model_->dtype) : spec.dtype, spec.shape));
      if (const auto it = values.find(name); it != values.end()) put_doubles(plain(), it->second, all.back());
    });
    return all;
  }
  Values values_of(int64_t B, const std::vector<Tensor>& states) {
    Values values;
    size_t i = 0;
    if (!states.empty())
      each_state(B, [&](const std::string& name, const StateSpec&) { values[name] = get_doubles(plain(), states[i++]); });
    return values;
  }
  void each_state(int64_t B, const std::function<void(const std::string&, const StateSpec&)>& visit) {
    for (const auto& unit : model_->units)
      for (const StateSpec& spec : unit->state_specs(B)) visit(cat(unit->name, ".", spec.name), spec);
  }

  RunOutput run(const RunInput& in, const Plan& plan, bool trains) {
    Pool pool(plain());
    const Tensor loss_sum = pool.take(DType::f64, {1});
    const std::vector<std::vector<Segment>> micro{segments(pool, in, loss_sum)}, dry_micro{shapes_of(micro[0])};
    std::vector<Tensor> initial, dfinal, dinitial, final = states(pool, in.B, false, {});
    if (!in.initial_state.empty()) initial = states(pool, in.B, false, in.initial_state);
    if (!in.dfinal_state.empty()) dfinal = states(pool, in.B, true, in.dfinal_state);
    if (in.want_dinitial) dinitial = states(pool, in.B, true, {});
    StepIo io;
    io.truncated = in.truncated;
    io.initial_state = initial;
    io.final_state = final;
    io.dfinal_state = dfinal;
    io.dinitial_state = dinitial;

    RunOutput out;
    {
      Arena kept(device()), scratch(device());
      io.micro = dry_micro;
      Exec dry = plain();
      dry.kept = &kept;
      dry.scratch = &scratch;
      dry.keep_less = in.keep_less;
      Runner(*model_, nullptr).run(dry, plan, io);
      out.kept_capacity = kept.peak();
      out.scratch_capacity = scratch.peak();
    }
    Arena kept(Buffer(device(), out.kept_capacity)), scratch(Buffer(device(), out.scratch_capacity));
    Exec ex = plain();
    ex.kept = &kept;
    ex.scratch = &scratch;
    ex.keep_less = in.keep_less;
    io.micro = micro;
    if (trains) shards_.start_step(ex);
    Runner(*model_, &shards_).run(ex, plan, io);
    if (trains) shards_.finish_grads(ex);
    out.kept_peak = kept.peak();
    out.scratch_peak = scratch.peak();
    out.rewound = kept.mark() == 0 && scratch.mark() == 0;

    out.loss = get_doubles(ex, loss_sum)[0] / counted(in);
    gather(in, micro[0], out);
    out.final_state = values_of(in.B, final);
    out.dinitial_state = values_of(in.B, dinitial);
    if (trains) shards_.for_each_owned_grad([&](const Param& p, int64_t, Tensor dw) { out.grads[p.name] = get_doubles(ex, dw); });
    return out;
  }

  // Puts the segments' outputs side by side.
  void gather(const RunInput& in, const std::vector<Segment>& segments, RunOutput& out) {
    const int64_t V = model_->n_vocab;
    out.logits.resize(static_cast<size_t>(in.B * in.T * V));
    if (!in.targets.empty()) out.row_loss.resize(static_cast<size_t>(in.B * in.T));
    int64_t t = 0;
    for (const Segment& s : segments) {
      const std::vector<double> logits = get_doubles(plain(), s.logits);
      const std::vector<double> row_loss = s.row_loss ? get_doubles(plain(), s.row_loss) : std::vector<double>{};
      for (int64_t b = 0; b < in.B; ++b) {
        std::copy_n(logits.begin() + b * s.T * V, s.T * V, out.logits.begin() + (b * in.T + t) * V);
        if (!row_loss.empty()) std::copy_n(row_loss.begin() + b * s.T, s.T, out.row_loss.begin() + b * in.T + t);
      }
      t += s.T;
    }
  }

  std::unique_ptr<Model> model_;
  ThreadPool pool_;
  Gpu* gpu_;
  std::unique_ptr<Comm> comm_;
  Shards shards_;
};

}  // namespace rk::test
