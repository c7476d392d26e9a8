// The model families that exist, and how one is made.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/tensor_file.h"
#include "nn/unit.h"

namespace rk {

// Sizes of a model; 0 = not given. After make_model all are resolved.
struct ModelSpec {
  std::string arch;  // "x070"
  int64_t n_layer = 0, n_embd = 0, vocab_size = 0, head_size = 0, dim_att = 0, dim_ffn = 0;
  int64_t decay_lora = 0, aaa_lora = 0, mv_lora = 0, gate_lora = 0;
  bool layer0_v = true;      // whether blocks.0.att.v0/v1/v2 exist (released files omit them)
  DType dtype = DType::f32;  // of weights and activations
  int64_t head_chunk = 0;    // rows of logits at a time; 0 = chosen by size
};

struct Family {
  const char* arch;  // "x070"
  const char* name;  // "rwkv7"
  const char* description;
  // Whether a file with these tensors (prefixes such as "_forward_module." already stripped) is of this family.
  bool (*matches)(const std::vector<TensorInfo>& tensors);
  // Completes `given` from the file's shapes; a given size that contradicts the file is refused naming tensor, file value, flag value.
  ModelSpec (*spec_from_file)(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
  // Completes `given` by the reference's defaults and rules; refuses sizes that do not fit.
  ModelSpec (*spec_for_new)(const ModelSpec& given);
  std::unique_ptr<Model> (*make)(const ModelSpec& spec);
};

const std::vector<Family>& families();
const Family& family_of(const std::string& arch);                                               // refuses unknown names
const Family& family_of_file(const std::vector<TensorInfo>& tensors, const std::string& path);  // refuses unknown files

// The name without "_forward_module.", "module.", "_orig_mod.", and without a leading "model." or "state_dict." dictionary.
std::string plain_name(const std::string& name);

}  // namespace rk
