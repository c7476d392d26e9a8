// Where a step's time goes: an OpWatch that times every operator call and prints a table.
#pragma once
#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "device/moments.h"

namespace rk::bench {

class OpTable : public OpWatch {
 public:
  explicit OpTable(const Gpu* gpu) : moments_(gpu) {}

  void begin(const char* op, double bytes, double flops) override {
    if (depth_++ == 0) calls_.push_back({op, bytes, flops, moments_.now(), 0});
  }
  void end() override {
    if (--depth_ == 0) calls_.back().end = moments_.now();
  }

  // Forgets what it has seen.
  void start() {
    moments_.clear();
    calls_.clear();
    begin_ = moments_.now();
  }
  // Everything since start() is done. Calls of one operator on equal sizes, then sums by operator.
  void print(int n_steps) const {
    std::map<std::tuple<std::string, double, double>, Row> by_size;
    std::map<std::string, Row> by_op;
    double inside = 0;
    for (const Call& c : calls_) {
      const double ms = moments_.ms(c.begin, c.end);
      inside += ms;
      const std::string with_size = c.flops > 0 ? cat(c.op, " ", c.flops * 1e-9, "G") : c.op;
      for (auto [row, name] : {std::pair{&by_size[{c.op, c.bytes, c.flops}], with_size}, {&by_op[c.op], std::string(c.op)}}) {
        row->name = name;
        ++row->calls;
        row->ms += ms;
        row->bytes += c.bytes;
        row->flops += c.flops;
      }
    }
    const double whole = calls_.empty() ? 0 : moments_.ms(begin_, calls_.back().end);
    print_rows("operator and size", by_size, n_steps, whole);
    print_rows("operator", by_op, n_steps, whole);
    std::printf("one step %.2f ms, of which between operators %.2f ms\n", whole / n_steps, (whole - inside) / n_steps);
  }
  // What some operators take of the whole.
  double share(std::initializer_list<std::string_view> ops) const {
    double inside = 0;
    for (const Call& c : calls_)
      if (std::find(ops.begin(), ops.end(), c.op) != ops.end()) inside += moments_.ms(c.begin, c.end);
    return calls_.empty() ? 0 : inside / moments_.ms(begin_, calls_.back().end);
  }

 private:
  struct Row {
    std::string name;
    int64_t calls = 0;
    double ms = 0, bytes = 0, flops = 0;
  };
  template <class Rows>
  static void print_rows(const char* what, const Rows& by_key, int n_steps, double whole) {
    std::vector<Row> rows;
    for (const auto& entry : by_key) rows.push_back(entry.second);
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.ms > b.ms; });
    std::printf("%-26s %7s %9s %6s %10s %11s %9s %9s\n", what, "calls", "ms", "%", "us a call", "MB a call", "GB/s", "TFLOP/s");
    for (const Row& r : rows) {
      const double n = n_steps, calls = static_cast<double>(r.calls);
      std::printf("%-26s %7.1f %9.3f %6.1f %10.1f %11.2f %9.0f %9.1f\n", r.name.c_str(), calls / n, r.ms / n, 100 * r.ms / whole,
                  r.ms / calls * 1e3, r.bytes / calls * 1e-6, r.bytes / r.ms * 1e-6, r.flops / r.ms * 1e-9);
    }
  }

  struct Call {
    const char* op;
    double bytes, flops;
    size_t begin, end;
  };
  Moments moments_;
  std::vector<Call> calls_;
  size_t begin_ = 0;
  int depth_ = 0;
};

}  // namespace rk::bench
