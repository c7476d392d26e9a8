// Golden cases of the operators of RWKV-5 and RWKV-6; those of RWKV-4 are rwkv456_wkv4.cpp's.
#include "golden/data_support.h"
#include "golden/handlers.h"
#include "golden/op_case.h"
#include "golden/wkv_limits.h"
#include "kernels/wkv6/op.h"

namespace rk::golden {
namespace {

// One group of a case: its sizes, and its tensors by dataset.
class WkvGroup {
 public:
  WkvGroup(OpCase& op, const WkvLimits& limits, const nlohmann::json& group, std::string name, Check& check)
      : op_(op), limits_(limits), name_(std::move(name)), kind_(group.at("kind").get<std::string>()), check_(check) {
    refuse_unknown(group, {"B", "T", "H", "N"}, name_, check);
    const auto size = [&](const char* which) { return group.at(which).get<int64_t>(); };
    x_ = {size("B"), size("T"), size("H"), size("N")};
    state_ = {x_[0], x_[2], x_[3], x_[3]};
    parameter_ = {x_[2], x_[3]};
  }

  // `w_of_tokens`: version 6.
  void compare(bool w_of_tokens) {
    const Tensor r = load("r", op_.dtype, x_), k = load("k", op_.dtype, x_), v = load("v", op_.dtype, x_),
                 u = load("u", op_.dtype, parameter_);
    const Tensor w = load("w", op_.dtype, w_of_tokens ? x_ : parameter_), dy = load("grad_y", op_.dtype, x_);
    const auto optional = [&](const char* which) {
      return op_.expected.has(cat(name_, "/", which)) ? load(which, op_.acc, state_) : Tensor{};
    };
    const Tensor state_in = optional("state_start");
    const Tensor dstate_out = optional("grad_state_end");
    const Tensor y = op_.zeros(op_.dtype, x_), state_out = op_.zeros(op_.acc, state_);
    Arena counting(op_.ex().device);
    const Tensor form = take_wkv6_saved(op_.ex(), counting, op_.dtype, x_), saved = op_.zeros(form.dtype, form.shape);
    run(op_.ex(),
        Wkv6Forward{.r = r, .k = k, .v = v, .w = w, .u = u, .y = y, .state_in = state_in, .state_out = state_out, .saved_states = saved});
    const Tensor dr = op_.zeros(op_.dtype, x_), dk = op_.zeros(op_.dtype, x_), dv = op_.zeros(op_.dtype, x_),
                 du = op_.zeros(op_.acc, parameter_);
    const Tensor dw = w_of_tokens ? op_.zeros(op_.dtype, x_) : op_.zeros(op_.acc, parameter_), dstate_in = op_.zeros(op_.acc, state_);
    run(op_.ex(), Wkv6Backward{.r = r,
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
    if (op_.expected.has(cat(name_, "/grad_state_start"))) compare("grad_state_start", dstate_in);
  }

 private:
  Tensor load(const char* which, DType type, const Shape& shape) {
    const std::string dataset = cat(name_, "/", which);
    const Tensor t = op_.load(dataset, type);
    if (t.numel() != shape.numel()) rk::fail(cat(dataset, " has not the size that its group says"));
    return t.view(shape);
  }
  void compare(const char* which, const Tensor& got) {
    const std::string dataset = cat(name_, "/", which);
    op_.mark_read(dataset);
    limits_.compare(dataset, kind_, op_.values(got), op_.expected.read_doubles(dataset), check_);
  }

  OpCase& op_;
  const WkvLimits& limits_;
  const std::string name_, kind_;
  Check& check_;
  Shape x_, state_, parameter_;
};

}  // namespace

// Which version a case is of, its text says.
void run_wkv456_op(const Case& c, const Options& options, Check& check) {
  const auto what = c.json.at("what").get<std::string>();
  if (what.starts_with("RWKV-4")) return run_wkv4_op(c, options, check);
  const bool version5 = what.starts_with("RWKV-5"), version6 = what.starts_with("RWKV-6");
  if (!version5 && !version6) return check.fail("unknown version: " + what);
  refuse_unknown(c.json, {"groups", "kinds"}, "case.json", check);
  OpCase op(c, options, check);
  const WkvLimits limits(c.json.at("tolerance"), options.dtype, check);
  for (const auto& [name, group] : c.json.at("groups").items()) WkvGroup(op, limits, group, name, check).compare(version6);
  check.all_read(op.expected, c.json.value("informative", nlohmann::json::array()));
}

}  // namespace rk::golden
