// The golden runner's vocabulary: a case is a folder with case.json; a handler computes with the product and compares.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "io/hdf5/hdf5.h"

namespace rk {
class Comm;
class Gpu;
}  // namespace rk

namespace rk::golden {

struct Case {
  std::string folder;  // absolute path
  std::string label;   // "rwkv7/wkv7_op"
  nlohmann::json json;
  std::string path(const std::string& file) const { return folder + "/" + file; }
};

struct Options {
  DType dtype = DType::f32;  // --dtype fp32|bf16
  bool dtype_given = false;
  int threads = 2;
  int zero = -1;        // --zero: of training runs
  Comm* mpi = nullptr;  // under mpirun: the real communicator, of the ranks' GPUs with --device cuda
  Gpu* gpu = nullptr;   // --device cuda
};

// Collects comparisons of one case. A failed one keeps the case going, so that the line shows the worst.
class Check {
 public:
  // value must be <= limit (NaN fails). `what` names the dataset.
  void at_most(const std::string& what, double value, double limit);
  void exact(const std::string& what, bool equal);  // value 0 or 1, limit 0
  void fail(const std::string& what);               // e.g. an unknown option
  // Compares x with dataset `name` of `file`, which may be sampled (attributes stride, norm): metrics "max" and "fro" of `limits`
  // (either may be absent), and the norm of the whole tensor within the fro limit. Marks the dataset as read.
  void dataset(const std::string& what, const Hdf5Reader& file, const std::string& name, std::span<const double> x,
               const nlohmann::json& limits);
  void mark_read(const std::string& dataset);
  // Every dataset of `file` that was neither read nor matches a pattern of "informative" is a failure.
  void all_read(const Hdf5Reader& file, const nlohmann::json& informative);

  // A case that compared nothing has not passed.
  bool passed() const { return failures_.empty() && compared_ > 0; }
  const std::vector<std::string>& failures() const { return failures_; }
  double worst_value() const { return worst_value_; }
  double worst_limit() const { return worst_limit_; }
  const std::string& worst_what() const { return worst_what_; }

 private:
  std::vector<std::string> failures_, read_;
  int64_t compared_ = 0;
  double worst_value_ = 0, worst_limit_ = 0, worst_ratio_ = -1;
  std::string worst_what_;
};

// max|x-ref| / max|ref| and |x-ref|_2 / |ref|_2.
double max_metric(std::span<const double> x, std::span<const double> ref);
double fro_metric(std::span<const double> x, std::span<const double> ref);

using Handler = void (*)(const Case&, const Options&, Check&);
struct Kind {
  const char* name;  // "rwkv7/wkv7_op"
  Handler run;
  bool bf16;           // has limits for --dtype bf16
  bool ranks = false;  // has worlds of several ranks: also runs under mpirun -n N, where it picks the world of N
  bool gpu = false;    // computes on a GPU with --device cuda
};

// kinds.cpp: the only place that knows all handlers.
std::span<const Kind> kinds();

}  // namespace rk::golden
