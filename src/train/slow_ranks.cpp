#include "train/slow_ranks.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"

namespace rk {
namespace {

constexpr double kSlow = 1.3;
constexpr int64_t kTimes = 3, kAgain = 10;

}  // namespace

std::vector<std::string> SlowRanks::compare(std::span<const double> seconds) {
  require(seconds.size() == hosts_.size(), "every rank tells its time");
  std::vector<double> sorted(seconds.begin(), seconds.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);  // of two middle ones the faster
  std::nth_element(sorted.begin(), middle, sorted.end());
  const double median = *middle;
  std::vector<std::string> lines;
  for (size_t r = 0; r < seconds.size(); ++r) {
    int64_t& times = in_a_row_[r];
    times = median > 0 && seconds[r] > kSlow * median ? times + 1 : 0;
    if (times < kTimes || (times - kTimes) % kAgain != 0) continue;
    char text[128];
    std::snprintf(text, sizeof text, "%.2f x the median of all ranks (%.3g s and %.3g s a step), %lld times in a row", seconds[r] / median,
                  seconds[r], median, static_cast<long long>(times));
    lines.push_back(cat("warning: rank ", r, " on ", hosts_[r], " computes slowly: ", text,
                        "; all ranks wait for it: look at that host's other work, temperature and clock"));
  }
  return lines;
}

}  // namespace rk
