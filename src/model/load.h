// Weights of a file into a model, whatever holds the model's memory.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_file.h"
#include "nn/unit.h"

namespace rk {

// Elements [first, first + values.size()) of p.
using WeightSink = std::function<void(const Param& p, int64_t first, std::span<const double> values)>;

// Delivers every parameter of the model that the file has, matched by plain_name, in pieces of bounded size (never a whole large tensor).
// A missing or unexpected name, or a wrong number of elements, is refused naming file, tensor and both shapes; with `partial` missing
// names are returned instead.
std::vector<const Param*> load_weights(const Model& model, TensorReader& reader, const std::string& path, bool partial,
                                       const WeightSink& sink);

}  // namespace rk
