// Cases of the WKV-4 operator. A state is (aa, bb, pp) for sums aa e^pp, bb e^pp, and its gradient that of aa and bb at fixed pp: the
// file's pp and ours may differ.
#include <cmath>

#include "golden/data_support.h"
#include "golden/handlers.h"
#include "golden/op_case.h"
#include "golden/wkv_limits.h"
#include "kernels/wkv4/op.h"

namespace rk::golden {
namespace {

using Numbers = std::vector<double>;

class Wkv4Group {
 public:
  Wkv4Group(OpCase& op, std::string name) : op_(op), name_(std::move(name)) {
    k = input("k"), v = input("v"), w = input("w"), u = input("u"), dy = input("grad_y");
    state_in = has("state_start") ? op_.load(name_ + "/state_start", op_.acc) : op_.zeros(op_.acc, {k.shape[0], k.shape[2], 3});
  }

  void compute() {
    y = like(k);
    state_out = op_.zeros(op_.acc, state_in.shape);
    Arena counting(k.device);
    const Tensor form = take_wkv4_saved(op_.ex(), counting, k.dtype, k.shape), saved = op_.zeros(form.dtype, form.shape);
    run(op_.ex(), Wkv4Forward{.k = k, .v = v, .w = w, .u = u, .y = y, .state_in = state_in, .state_out = state_out, .saved_states = saved});
    dk = like(k), dv = like(k);
    dw = op_.zeros(op_.acc, w.shape), du = op_.zeros(op_.acc, u.shape);
    dstate_out = op_.zeros(op_.acc, state_in.shape), dstate_in = op_.zeros(op_.acc, state_in.shape);
    put_gradient_of_end();
    run(op_.ex(), Wkv4Backward{.k = k,
                               .v = v,
                               .w = w,
                               .u = u,
                               .saved_states = saved,
                               .dy = dy,
                               .dstate_out = dstate_out,
                               .dk = dk,
                               .dv = dv,
                               .dw = dw,
                               .du = du,
                               .dstate_in = dstate_in});
  }

  void compare(const WkvLimits& limits, const std::string& kind, Check& check) const {
    const auto one = [&](const char* dataset, const Numbers& got, const Numbers& expected) {
      limits.compare(name_ + "/" + dataset, kind, got, expected, check);
    };
    const std::pair<const char*, const Tensor*> plain[] = {{"y", &y}, {"grad_w", &dw}, {"grad_u", &du}, {"grad_k", &dk}, {"grad_v", &dv}};
    for (const auto& [dataset, tensor] : plain) {
      check.mark_read(name_ + "/" + dataset);
      one(dataset, op_.values(*tensor), file(dataset));
    }
    // The end state and the gradient of the start state as they are at the file's exponents.
    const Numbers expected_end = file("state_end"), start = op_.values(state_in),
                  file_start = has("state_start") ? file("state_start") : start;
    const Numbers gradient = op_.values(dstate_in);
    Numbers end = op_.values(state_out), dstart;
    for (size_t i = 0; i < end.size(); i += 3) {
      for (size_t q = 0; q < 2; ++q) {
        end[i + q] *= std::exp(end[i + 2] - expected_end[i + 2]);
        dstart.push_back(start[i + 1] == 0 ? gradient[i + q] : gradient[i + q] * std::exp(file_start[i + 2] - start[i + 2]));
      }
      end[i + 2] = expected_end[i + 2];
    }
    check.mark_read(name_ + "/state_end");
    one("state_end", end, expected_end);
    if (!has("grad_state_start")) return;
    check.mark_read(name_ + "/grad_state_start");
    one("grad_state_start", dstart, file("grad_state_start"));
  }

 private:
  Tensor input(const char* which) { return op_.load(name_ + "/" + which, op_.dtype); }
  Tensor like(const Tensor& t) { return op_.zeros(t.dtype, t.shape); }
  bool has(const char* dataset) const { return op_.expected.has(name_ + "/" + dataset); }
  Numbers file(const char* dataset) const { return op_.expected.read_doubles(name_ + "/" + dataset); }

  // At our pp: dL/daa = dL/dA e^pp.
  void put_gradient_of_end() {
    if (!has("grad_state_end")) return;
    op_.mark_read(name_ + "/grad_state_end");
    const Numbers gradient = file("grad_state_end"), expected_end = file("state_end"), end = op_.values(state_out);
    Numbers whole(end.size());
    for (size_t i = 0; i < end.size() / 3; ++i) {
      for (size_t q = 0; q < 2; ++q) whole[3 * i + q] = gradient.at(2 * i + q) * std::exp(end[3 * i + 2] - expected_end[3 * i + 2]);
    }
    test::put_doubles(op_.ex(), whole, dstate_out);
  }

  OpCase& op_;
  std::string name_;
  Tensor k, v, w, u, dy, state_in, dstate_out;
  Tensor y, state_out, dk, dv, dw, du, dstate_in;
};

}  // namespace

void run_wkv4_op(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"groups", "kinds"}, "case.json", check);
  OpCase op(c, options, check);
  const WkvLimits limits(c.json.at("tolerance"), options.dtype, check);
  for (const auto& [name, group] : c.json.at("groups").items()) {
    refuse_unknown(group, {"B", "T", "C"}, name, check);
    Wkv4Group g(op, name);
    g.compute();
    g.compare(limits, group.at("kind").get<std::string>(), check);
  }
  check.all_read(op.expected, c.json.value("informative", nlohmann::json::array()));
}

}  // namespace rk::golden
