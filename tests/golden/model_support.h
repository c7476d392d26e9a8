// What golden cases of models share, whatever their family.
#pragma once
#include "golden/golden.h"
#include "support/model_runner.h"

namespace rk::golden {

// A model of a file's family and sizes, with its weights, in the dtype and on the device of the options. given: sizes that a file does not
// tell.
struct LoadedRunner {
  ModelSpec spec;
  std::unique_ptr<test::ModelRunner> runner;
};
LoadedRunner load_runner(const std::string& path, ModelSpec given, const Options& options);

double norm_of(const test::Values& values);

// Segments [first, end) of a run by themselves, with their tokens, targets and weights.
test::RunInput segments_of(const test::RunInput& in, size_t first, size_t end);

// Compares x, a tensor of this shape, with a digest: of the matrix [R = product of the leading sizes, N = last one] the vector [Frobenius
// norm, R row sums, N column sums, the first rows]. e: relative L2 error.
void compare_digest(Check& check, const std::string& what, const std::vector<double>& digest, const std::vector<double>& x, int64_t N,
                    double e);

}  // namespace rk::golden
