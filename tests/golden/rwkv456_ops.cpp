// Golden cases of the operators of RWKV-4, 5 and 6.
#include <cmath>
#include <list>

#include "golden/data_support.h"
#include "golden/handlers.h"
#include "kernels/wkv6/op.h"
#include "support/on_device.h"

namespace rk::golden {
namespace {

using nlohmann::json;

// One group of a case: sizes, and its tensors by dataset.
class WkvGroup {
 public:
  WkvGroup(const Case& c, const Options& options, Check& check, const std::string& name)
      : expected_(c.path("expected.h5")),
        dtype_(options.dtype),
        acc_(acc_dtype(options.dtype)),
        limits_(c.json.at("tolerance")),
        group_(c.json.at("groups").at(name)),
        name_(name),
        check_(check),
        pool_(options.threads) {
    const Device device = options.gpu ? Device::cuda : Device::cpu;
    scratch_ = Arena(Buffer(device, size_t{256} << 20));
    ex_ = {.device = device, .pool = &pool_, .scratch = &scratch_, .gpu = options.gpu};
    refuse_unknown(group_, {"B", "T", "H", "N", "kind"}, cat("group ", name), check);
    for (int i = 0; i < 4; ++i)
      x_.size[static_cast<size_t>(x_.rank++)] = group_.at(std::vector{"B", "T", "H", "N"}[static_cast<size_t>(i)]);
    state_ = {x_[0], x_[2], x_[3], x_[3]};
    parameter_ = {x_[2], x_[3]};
  }

  // `w_of_tokens`: version 6.
  void compare(bool w_of_tokens) {
    const Tensor r = load("r", dtype_, x_), k = load("k", dtype_, x_), v = load("v", dtype_, x_), u = load("u", dtype_, parameter_);
    const Tensor w = load("w", dtype_, w_of_tokens ? x_ : parameter_), dy = load("grad_y", dtype_, x_);
    const auto optional = [&](const char* which) { return expected_.has(cat(name_, "/", which)) ? load(which, acc_, state_) : Tensor{}; };
    const Tensor state_in = optional("state_start");
    const Tensor dstate_out = optional("grad_state_end");
    const Tensor y = zeros(dtype_, x_), state_out = zeros(acc_, state_);
    Arena counting(ex_.device);
    const Tensor form = take_wkv6_saved(ex_, counting, dtype_, x_), saved = zeros(form.dtype, form.shape);
    run(ex_,
        Wkv6Forward{.r = r, .k = k, .v = v, .w = w, .u = u, .y = y, .state_in = state_in, .state_out = state_out, .saved_states = saved});
    const Tensor dr = zeros(dtype_, x_), dk = zeros(dtype_, x_), dv = zeros(dtype_, x_), du = zeros(acc_, parameter_);
    const Tensor dw = w_of_tokens ? zeros(dtype_, x_) : zeros(acc_, parameter_), dstate_in = zeros(acc_, state_);
    run(ex_, Wkv6Backward{.r = r,
                          .k = k,
                          .v = v,
                          .w = w,
                          .u = u,
                          .saved_states = saved,
                          .dy = dy,
                          .dstate_out = dstate_out,
                          .dr = dr,
                          .dk = dk,
                          .dv = dv,
                          .dw = dw,
                          .du = du,
                          .dstate_in = dstate_in});
    compare("y", y);
    compare("state_end", state_out);
    compare("grad_r", dr);
    compare("grad_k", dk);
    compare("grad_v", dv);
    compare("grad_w", dw);
    compare("grad_u", du);
    if (expected_.has(cat(name_, "/grad_state_start"))) compare("grad_state_start", dstate_in);
  }

 private:
  Tensor zeros(DType type, const Shape& shape) {
    Tensor t;
    t.dtype = type;
    t.shape = shape;
    return buffers_.emplace_back(ex_.device, t.n_bytes()).tensor(type, shape);
  }
  Tensor load(const char* which, DType type, const Shape& shape) {
    const std::string dataset = cat(name_, "/", which);
    check_.mark_read(dataset);
    const Tensor t = zeros(type, shape);
    const std::vector<double> values = expected_.read_doubles(dataset);
    if (static_cast<int64_t>(values.size()) != shape.numel()) rk::fail(cat(dataset, " has not the size that its group says"));
    test::put_doubles(ex_, values, t);
    return t;
  }
  // fp32: max |x - e| / rms(e) under the limit of the group's kind. bf16: |x - e| <= a |e| + b rms(e), as a ratio to that bound.
  void compare(const char* which, const Tensor& got) {
    const std::string dataset = cat(name_, "/", which);
    check_.mark_read(dataset);
    const std::vector<double> e = expected_.read_doubles(dataset), x = test::get_doubles(ex_, got);
    if (x.size() != e.size()) return check_.fail(cat(dataset, " has another size"));
    double square = 0, worst = 0;
    for (double value : e) square += value * value;
    const double rms = std::sqrt(square / static_cast<double>(e.size()));
    const bool gradient = dataset.find("/grad_") != std::string::npos;
    const double relative = dtype_ == DType::bf16 ? std::exp2(gradient ? -7 : -8) : 0,
                 absolute = dtype_ == DType::bf16 ? (gradient ? 1e-2 : 1e-3) : 1;
    for (size_t i = 0; i < e.size(); ++i) {
      const double difference = std::fabs(x[i] - e[i]), bound = relative * std::fabs(e[i]) + absolute * rms;
      const double ratio = difference == 0 ? 0 : difference / bound;
      if (!(ratio <= worst)) worst = ratio;
    }
    const double limit = dtype_ == DType::bf16 ? 1 : limits_.at("fp32").at(group_.at("kind").get<std::string>()).at(which).get<double>();
    check_.at_most(dataset, worst, limit);
  }

  const Hdf5Reader expected_;
  const DType dtype_, acc_;
  const json& limits_;
  const json& group_;
  const std::string name_;
  Check& check_;
  ThreadPool pool_;
  Arena scratch_;
  Exec ex_;
  std::list<Buffer> buffers_;
  Shape x_, state_, parameter_;
};

// The bf16 limits stand in the case as a sentence; a case that says something else is not understood.
constexpr const char* kBf16Limits =
    "inputs are exactly representable in bf16; with fp32 internals and bf16 outputs: |err| <= 2^-8*|expected| + 1e-3*rms(expected) for y "
    "and "
    "state_end, 2^-7*|expected| + 1e-2*rms(expected) for gradients";

}  // namespace

// Which version a case is of, its text says.
void run_wkv456_op(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"what", "seed", "groups", "files", "kinds", "tolerance", "source"}, "case.json", check);
  const std::string what = c.json.at("what").get<std::string>();
  if (what.starts_with("RWKV-4")) return run_wkv4_op(c, options, check);
  if (c.json.at("tolerance").at("bf16").get<std::string>() != kBf16Limits) return check.fail("the limits of bf16 are not understood");
  const bool version5 = what.starts_with("RWKV-5"), version6 = what.starts_with("RWKV-6");
  if (!version5 && !version6) return check.fail("unknown version: " + what);
  for (const auto& group : c.json.at("groups").items()) WkvGroup(c, options, check, group.key()).compare(version6);
  check.all_read(Hdf5Reader(c.path("expected.h5")), json::array());
}

}  // namespace rk::golden
