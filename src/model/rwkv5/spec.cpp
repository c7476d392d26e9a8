// Sizes of RWKV-5.2 models, from files and for new ones.
#include <algorithm>

#include "model/parts/sizes.h"
#include "model/rwkv5/family.h"

namespace rk::rwkv5 {
namespace {

constexpr const char* kHeads = "blocks.0.att.time_decay";  // [H,N]

// The formats before 5.2 have no gate (5.0), or one decay a head (5.1).
void refuse_previews(const FileShapes& file) {
  const auto refuse = [&](const char* version, const std::string& why) {
    fail(cat(file.path(), ": is a model of RWKV-", version, " (", why, "), a preview format that is not supported; give one of RWKV-5.2"));
  };
  if (!file.has("blocks.0.att.gate.weight")) refuse("5.0", "it has no blocks.0.att.gate.weight");
  if (!file.is_matrix(kHeads) || file.matrix(kHeads)[1] <= 1) refuse("5.1", cat(kHeads, " has one value a head"));
}

}  // namespace

bool matches(const std::vector<TensorInfo>& tensors) {
  const auto any = [&](std::string_view part) {
    return std::any_of(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return t.name.find(part) != std::string::npos; });
  };
  return any(".att.ln_x.") && !any("time_maa") && !any(".att.r_k");
}

ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path) {
  const FileShapes file(tensors, path, "RWKV-5.2");
  refuse_previews(file);
  ModelSpec s = given;
  s.arch = "x052";
  settle_common_sizes(s, file);
  settle_heads(s, file, kHeads);
  for (int64_t l = 0; l < s.n_layer; ++l) file.matrix(cat("blocks.", l, ".att.time_decay"));
  settle_v5_sizes(s, file);
  return s;
}

ModelSpec spec_for_new(const ModelSpec& given) {
  ModelSpec s = given;
  complete_common_sizes(s, "x052");
  complete_v5_sizes(s, "RWKV-5.2");
  s.arch = "x052";
  return s;
}

}  // namespace rk::rwkv5
