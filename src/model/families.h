// The model families that exist, and how one is made.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/tensor_file.h"
#include "model/parts/groups.h"
#include "nn/unit.h"

namespace rk {

// Parts that only old trainers' models have (golden rwkv456 §8); all 0: none.
struct OldParts {
  int64_t head_qk = 0;                           // width of the head's copying queries and keys
  int64_t tiny_att_dim = 0, tiny_att_layer = 0;  // width of one small attention, and the block that it ends; no block where the width is 0
  int64_t pos_emb = 0;                           // P: positions of a sample are P^2 - 1 learned rows
  bool pre_ffn = false;                          // block 0 has a channel mix in place of its time mix
  int64_t ctx_len = 0;                           // of the masks that files of head_qk and tiny_att hold
  bool operator==(const OldParts&) const = default;
};

// Sizes of a model; 0 = not given. After make_model all are resolved.
struct ModelSpec {
  std::string arch;  // "x070"; of files: the family's, with its variant ("x060b")
  int64_t n_layer = 0, n_embd = 0, vocab_size = 0, head_size = 0, dim_att = 0, dim_ffn = 0;
  int64_t decay_lora = 0, aaa_lora = 0, mv_lora = 0, gate_lora = 0;
  int64_t mix_lora = 0;  // RWKV-6: width of the mixes' factors
  int64_t head_size_divisor = 0;
  OldParts old;
  bool time_state = false;   // blocks have a trained initial state, att.time_state
  double emb_init = 0;       // half width of fresh embeddings; 0 = the family's
  bool layer0_v = true;      // whether blocks.0.att.v0/v1/v2 exist (released files omit them)
  DType dtype = DType::f32;  // of weights and activations
  int64_t head_chunk = 0;    // rows of logits at a time; 0 = chosen by size
};

struct Family {
  const char* arch;  // "x070": a family is known by this anywhere in the name of an architecture ("x070-f4")
  const char* name;  // "rwkv7"
  const char* description;
  // Whether a file with these tensors (prefixes such as "_forward_module." already stripped) is of this family.
  bool (*matches)(const std::vector<TensorInfo>& tensors);
  // Completes `given` from the file's shapes; a given size that contradicts the file is refused naming tensor, file value, flag value.
  ModelSpec (*spec_from_file)(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
  // Completes `given` by the reference's defaults and rules; refuses sizes that do not fit.
  ModelSpec (*spec_for_new)(const ModelSpec& given);
  std::unique_ptr<Model> (*make)(const ModelSpec& spec);
  // The optimizer's groups; make() leaves those of the default rules.
  void (*set_groups)(ParamTable& params, const GroupRules& rules);
};

const std::vector<Family>& families();
const Family& family_of(const std::string& arch);                                               // refuses unknown names
const Family& family_of_file(const std::vector<TensorInfo>& tensors, const std::string& path);  // refuses unknown files

// The name without "_forward_module.", "module.", "_orig_mod.", and without a leading "model." or "state_dict." dictionary.
std::string plain_name(const std::string& name);

}  // namespace rk
