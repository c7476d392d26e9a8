#include "model/load.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "model/families.h"

namespace rk {
namespace {

constexpr int64_t kPiece = 1 << 20;  // elements read at a time

std::string text_of(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += cat(i ? ", " : "", shape[i]);
  return text + "]";
}

std::vector<int64_t> without_ones(std::span<const int64_t> shape) {
  std::vector<int64_t> sizes;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(sizes), [](int64_t n) { return n != 1; });
  return sizes;
}

bool is_float(DType t) { return t == DType::f64 || t == DType::f32 || t == DType::bf16 || t == DType::f16; }

void check_tensor(const Param& p, const TensorInfo& t, const std::string& path) {
  const std::span<const int64_t> wanted(p.shape.size.data(), static_cast<size_t>(p.shape.rank));
  if (without_ones(t.shape) != without_ones(wanted))
    fail(cat(path, ": tensor ", t.name, " has shape ", text_of(t.shape), ", but the model needs ", text_of(wanted),
             "; give a file of this model's sizes"));
  if (!is_float(t.dtype)) fail(cat(path, ": tensor ", t.name, " holds ", name_of(t.dtype), ", not floating-point weights"));
}

std::map<std::string, size_t> by_plain_name(TensorReader& reader, const std::string& path) {
  std::map<std::string, size_t> found;
  const auto& tensors = reader.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto [it, fresh] = found.emplace(plain_name(tensors[i].name), i);
    if (!fresh) fail(cat(path, ": tensors ", tensors[it->second].name, " and ", tensors[i].name, " are both ", it->first));
  }
  return found;
}

void deliver(const Param& p, TensorReader& reader, size_t index, const WeightSink& sink) {
  std::vector<double> piece(static_cast<size_t>(std::min(kPiece, p.numel())));
  for (int64_t first = 0; first < p.numel(); first += kPiece) {
    const auto values = std::span(piece).first(static_cast<size_t>(std::min(kPiece, p.numel() - first)));
    reader.read_as(index, first, static_cast<int64_t>(values.size()), values.data());
    sink(p, first, values);
  }
}

// The first names of a list, for a sentence.
std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(3, names.size()); ++i) text += cat(i ? ", " : "", names[i]);
  return names.size() > 3 ? cat(text, " and ", names.size() - 3, " more") : text;
}

}  // namespace

WeightMatch match_weights(const Model& model, TensorReader& reader, const std::string& path, bool partial) {
  const auto found = by_plain_name(reader, path);
  WeightMatch match;
  std::vector<std::string> missing_names, unexpected;
  for (const Param& p : model.params.all()) {
    const auto it = found.find(p.name);
    match.tensors.emplace_back(&p, it != found.end() ? static_cast<int>(it->second) : -1);
    if (it != found.end()) continue;
    match.missing.push_back(&p);
    missing_names.push_back(p.name);
  }
  const auto derived = [&](const std::string& name) {
    return std::any_of(model.derived.begin(), model.derived.end(), [&](const DerivedTensor& d) { return d.name == name; });
  };
  for (const auto& [name, index] : found)
    if (!model.params.find(name) && !derived(name)) unexpected.push_back(name);
  if (!partial && !match.missing.empty())
    fail(cat(path, ": the model's ", some_of(missing_names), " is missing; --load_partial 1 keeps fresh values for what a file lacks"));
  if (!partial && !unexpected.empty())
    fail(cat(path, ": ", some_of(unexpected), " is not part of the model; --load_partial 1 leaves such tensors out"));
  if (!unexpected.empty()) log_warning(cat(path, ": ", some_of(unexpected), " is not part of the model and is left out"));
  for (const auto& [name, index] : found)
    if (const Param* p = model.params.find(name)) check_tensor(*p, reader.tensors()[index], path);
  return match;
}

std::vector<const Param*> load_weights(const Model& model, TensorReader& reader, const std::string& path, bool partial,
                                       const WeightSink& sink) {
  const WeightMatch match = match_weights(model, reader, path, partial);  // before anything is changed
  for (const auto& [p, index] : match.tensors)
    if (index >= 0) deliver(*p, reader, static_cast<size_t>(index), sink);
  return match.missing;
}

}  // namespace rk
