// Weights of a file into a model, whatever holds the model's memory.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_file.h"
#include "nn/unit.h"

namespace rk {

// Which tensor of a file each parameter has: by index, -1 where the file has none.
struct WeightMatch {
  std::vector<std::pair<const Param*, int>> tensors;  // in table order
  std::vector<const Param*> missing;
};
// Matched by plain_name. A missing or unexpected name, or a wrong number of elements, is refused naming file, tensor and both shapes; with
// `partial` missing names are returned instead, and those that may be missing always.
WeightMatch match_weights(const Model& model, TensorReader& reader, const std::string& path, bool partial);

// Elements [first, first + values.size()) of p.
using WeightSink = std::function<void(const Param& p, int64_t first, std::span<const double> values)>;

// Delivers every parameter of the model that the file has, in pieces of bounded size (never a whole large tensor); returns those that it
// has not.
std::vector<const Param*> load_weights(const Model& model, TensorReader& reader, const std::string& path, bool partial,
                                       const WeightSink& sink);

}  // namespace rk
