#include "golden/wkv_limits.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/error.h"

namespace rk::golden {

WkvLimits::WkvLimits(const nlohmann::json& tolerance, DType dtype, Check& check) : tolerance_(tolerance), bf16_(dtype == DType::bf16) {
  if (!bf16_) return;
  const auto words = tolerance.at("bf16").get<std::string>();
  const size_t begin = std::min(words.find("|err|"), words.size());
  double output_power = 0, gradient_power = 0;
  int n_read = 0;
  std::sscanf(words.c_str() + begin,
              "|err| <= 2^%lf*|expected| + %lf*rms(expected) for y and state_end, 2^%lf*|expected| + %lf*rms(expected) for gradients%n",
              &output_power, &output_.of_rms, &gradient_power, &gradient_.of_rms, &n_read);
  if (n_read == 0 || begin + static_cast<size_t>(n_read) != words.size()) check.fail(cat("unknown limits for bf16: ", words));
  output_.of_value = std::exp2(output_power);
  gradient_.of_value = std::exp2(gradient_power);
}

void WkvLimits::compare(const std::string& what, const std::string& kind_of_group, std::span<const double> got,
                        std::span<const double> expected, Check& check) const {
  if (got.size() != expected.size()) return check.fail(cat(what, ": ", got.size(), " numbers where ", expected.size(), " are expected"));
  const std::string dataset = what.substr(what.rfind('/') + 1);
  double squares = 0;
  for (double x : expected) squares += x * x;
  const double rms = std::sqrt(squares / std::max<double>(1, static_cast<double>(expected.size())));
  const Rounded& rounded = dataset.starts_with("grad_") ? gradient_ : output_;
  const double limit = bf16_ ? 1 : tolerance_.at("fp32").at(kind_of_group).at(dataset).get<double>();
  double worst = 0;  // NaN stays
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    const double unit = bf16_ ? rounded.of_value * std::abs(expected[i]) + rounded.of_rms * rms : rms;
    const double value = error == 0 ? 0 : unit == 0 ? std::numeric_limits<double>::infinity() : error / unit;
    if (!(value <= worst)) worst = value;
    if (std::isnan(worst)) break;
  }
  check.at_most(what, worst, limit);
}

}  // namespace rk::golden
