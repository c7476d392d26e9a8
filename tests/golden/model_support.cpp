#include "golden/model_support.h"

#include <cmath>

namespace rk::golden {

using test::RunInput;
using test::Values;

LoadedRunner load_runner(const std::string& path, ModelSpec given, const Options& options) {
  const auto tensors = open_tensor_file(path)->tensors();
  const Family& family = family_of_file(tensors, path);
  given.dtype = options.dtype;
  LoadedRunner loaded;
  loaded.spec = family.spec_from_file(given, tensors, path);
  loaded.runner = std::make_unique<test::ModelRunner>(family.make(loaded.spec), options.threads, options.gpu);
  loaded.runner->load(path);
  return loaded;
}

double norm_of(const Values& values) {
  double sum = 0;
  for (const auto& [name, x] : values)
    for (double v : x) sum += v * v;
  return std::sqrt(sum);
}

RunInput segments_of(const RunInput& in, size_t first, size_t end) {
  RunInput part = in;
  part.segments.assign(in.segments.begin() + static_cast<std::ptrdiff_t>(first), in.segments.begin() + static_cast<std::ptrdiff_t>(end));
  part.T = std::accumulate(part.segments.begin(), part.segments.end(), int64_t{0});
  const int64_t begin = std::accumulate(in.segments.begin(), in.segments.begin() + static_cast<std::ptrdiff_t>(first), int64_t{0});
  const auto cut = [&](auto& to, const auto& from) {
    to.clear();
    if (from.empty()) return;
    for (int64_t b = 0; b < in.B; ++b) to.insert(to.end(), from.begin() + b * in.T + begin, from.begin() + b * in.T + begin + part.T);
  };
  cut(part.tokens, in.tokens);
  cut(part.targets, in.targets);
  cut(part.weights, in.weights);
  if (!in.l2_scales.empty())
    part.l2_scales.assign(in.l2_scales.begin() + static_cast<std::ptrdiff_t>(first),
                          in.l2_scales.begin() + static_cast<std::ptrdiff_t>(end));
  return part;
}

void compare_digest(Check& check, const std::string& what, const std::vector<double>& digest, const std::vector<double>& x, int64_t N,
                    double e) {
  const int64_t n = static_cast<int64_t>(x.size()), R = n / N, rows = (static_cast<int64_t>(digest.size()) - 1 - R - N) / N;
  if (R * N != n || rows < 0 || rows > R || static_cast<int64_t>(digest.size()) != 1 + R + N + rows * N)
    return check.fail(cat(what, ": a digest of ", digest.size(), " numbers is none of a matrix ", R, " x ", N));
  std::vector<double> row_sums(static_cast<size_t>(R)), column_sums(static_cast<size_t>(N));
  for (int64_t i = 0; i < n; ++i) {
    row_sums[static_cast<size_t>(i / N)] += x[static_cast<size_t>(i)];
    column_sums[static_cast<size_t>(i % N)] += x[static_cast<size_t>(i)];
  }
  const double norm = digest[0];
  auto ref = digest.begin() + 1;
  const auto compare = [&](const char* part, auto begin, int64_t count, double factor) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i, ++ref, ++begin) sum += (*begin - *ref) * (*begin - *ref);
    check.at_most(cat(what, ", ", part), std::sqrt(sum), e * norm * factor);
  };
  check.at_most(cat(what, ", norm"), std::abs(norm_of({{"", x}}) - norm), e * norm);
  compare("sums of rows", row_sums.begin(), R, std::sqrt(static_cast<double>(N)));
  compare("sums of columns", column_sums.begin(), N, std::sqrt(static_cast<double>(R)));
  compare("first rows", x.begin(), rows * N, 1);
}

}  // namespace rk::golden
