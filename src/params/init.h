// Fresh parameter values.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "params/orthogonal.h"
#include "params/param_table.h"

namespace rk {

class ThreadPool;

// Elements [first, first + out.size()) of the fresh values of p, row-major. They depend on (p, seed) alone: any rank computes the same. Not
// for orthogonal matrices, whose elements depend on each other.
void fresh_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out);
// Makes whole orthogonal matrices, one after another in the same memory: the Q of a Gaussian matrix's QR whose R has a positive diagonal,
// the shorter side orthonormal, times the gain.
class OrthogonalValues {
 public:
  explicit OrthogonalValues(ThreadPool* pool = nullptr) : pool_(pool) {}  // which shares the work, not the result
  // p's values, row-major; they stay until the next call.
  std::span<const float> make(const Param& p, uint64_t seed);

 private:
  ThreadPool* pool_;
  ScratchArray<float> q_, turned_;
  OrthogonalMemory memory_;
};
// Quick stand-ins of the same sizes for benches, where values do not matter: orthogonal matrices become normal ones of the same scale.
void quick_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out);

// All of them as double.
std::vector<double> fresh_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);
std::vector<double> quick_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);

}  // namespace rk
