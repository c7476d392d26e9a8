// Limits of cases of kind rwkv456/wkv_op. fp32: max |err| / rms(expected), for every kind of group and dataset. bf16, in words:
// |err| <= 2^-8*|expected| + 1e-3*rms(expected) for y and state_end, and another two numbers for gradients.
#pragma once
#include <span>
#include <string>

#include "golden/golden.h"

namespace rk::golden {

class WkvLimits {
 public:
  // Fails where the words for bf16 are others.
  WkvLimits(const nlohmann::json& tolerance, DType dtype, Check& check);

  // `what` is GROUP/DATASET.
  void compare(const std::string& what, const std::string& kind_of_group, std::span<const double> got, std::span<const double> expected,
               Check& check) const;

 private:
  struct Rounded {
    double of_value = 0, of_rms = 0;
  };
  const nlohmann::json& tolerance_;
  bool bf16_;
  Rounded output_, gradient_;
};

}  // namespace rk::golden
