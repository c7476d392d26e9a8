#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "golden/golden.h"

namespace rk::golden {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// numerator / denominator, where 0 / 0 is agreement and anything else over 0 is not.
double ratio(double numerator, double denominator) {
  if (denominator > 0) return numerator / denominator;
  return numerator == 0 ? 0 : kInfinity;
}

double norm_of(std::span<const double> x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  return std::sqrt(sum);
}

bool matches_any(const std::string& name, const nlohmann::json& patterns) {
  if (!patterns.is_array()) return false;
  return std::any_of(patterns.begin(), patterns.end(), [&](const nlohmann::json& p) {
    return p.is_string() && fnmatch(p.get_ref<const std::string&>().c_str(), name.c_str(), 0) == 0;
  });
}

}  // namespace

double max_metric(std::span<const double> x, std::span<const double> ref) {
  if (x.size() != ref.size()) return kInfinity;
  double difference = 0, largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = std::abs(x[i] - ref[i]);
    if (std::isnan(d)) return d;
    difference = std::max(difference, d);
    largest = std::max(largest, std::abs(ref[i]));
  }
  return ratio(difference, largest);
}

double fro_metric(std::span<const double> x, std::span<const double> ref) {
  if (x.size() != ref.size()) return kInfinity;
  double difference = 0;
  for (size_t i = 0; i < x.size(); ++i) difference += (x[i] - ref[i]) * (x[i] - ref[i]);
  return ratio(std::sqrt(difference), norm_of(ref));
}

void Check::at_most(const std::string& what, double value, double limit) {
  ++compared_;
  const bool good = value <= limit;
  double badness = ratio(value, limit);
  if (std::isnan(badness)) badness = kInfinity;
  if (worst_ratio_ < 0 || badness > worst_ratio_) {
    worst_ratio_ = badness;
    worst_value_ = value;
    worst_limit_ = limit;
    worst_what_ = what;
  }
  if (!good) failures_.push_back(cat(what, ": ", value, " is over the limit ", limit));
}

void Check::exact(const std::string& what, bool equal) { at_most(what, equal ? 0 : 1, 0); }

void Check::fail(const std::string& what) {
  ++compared_;
  worst_ratio_ = worst_value_ = kInfinity;
  worst_limit_ = 0;
  worst_what_ = what;
  failures_.push_back(what);
}

void Check::dataset(const std::string& what, const Hdf5Reader& file, const std::string& name, std::span<const double> x,
                    const nlohmann::json& limits) {
  mark_read(name);
  if (!file.has(name)) return fail(cat(what, ": the file has no dataset ", name));
  const bool has_max = limits.is_object() && limits.contains("max"), has_fro = limits.is_object() && limits.contains("fro");
  if (!has_max && !has_fro) return fail(cat(what, ": no limit for ", name));

  const std::vector<double> ref = file.read_doubles(name);
  const auto stride = static_cast<size_t>(file.number_attribute(name, "stride").value_or(1));
  const double numel = file.number_attribute(name, "numel").value_or(stride > 1 ? -1 : static_cast<double>(ref.size()));
  if (stride == 0 || (numel >= 0 && numel != static_cast<double>(x.size())) || (x.size() + stride - 1) / stride != ref.size())
    return fail(cat(what, ": ", x.size(), " elements where ", name, " holds ", ref.size(), " with stride ", stride));

  std::vector<double> sampled(ref.size());
  for (size_t i = 0; i < ref.size(); ++i) sampled[i] = x[i * stride];
  if (has_max) at_most(cat(what, " max"), max_metric(sampled, ref), limits["max"].get<double>());
  if (has_fro) at_most(cat(what, " fro"), fro_metric(sampled, ref), limits["fro"].get<double>());
  if (const auto norm = file.number_attribute(name, "norm"))
    at_most(cat(what, " norm"), ratio(std::abs(norm_of(x) - *norm), *norm), limits[has_fro ? "fro" : "max"].get<double>());
}

void Check::mark_read(const std::string& dataset) { read_.push_back(dataset); }

void Check::all_read(const Hdf5Reader& file, const nlohmann::json& informative) {
  for (const std::string& name : file.datasets()) {
    if (std::find(read_.begin(), read_.end(), name) == read_.end() && !matches_any(name, informative))
      fail(cat("dataset ", name, " was not compared"));
  }
}

}  // namespace rk::golden
