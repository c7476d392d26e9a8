// Sizes that models of all families have, from files and for new ones.
#pragma once
#include "model/families.h"
#include "model/parts/file_shapes.h"

namespace rk {

// n_layer, vocab_size, n_embd and dim_ffn.
void settle_common_sizes(ModelSpec& s, const FileShapes& file);
// A new model's size where none is given; a negative one is refused.
void complete(int64_t& value, int64_t otherwise, const char* flag);
// n_layer, n_embd, head_size and dim_att, which is n_embd; a model without vocab_size is refused.
void complete_common_sizes(ModelSpec& s);
// RWKV-5's and 6's: dim_ffn of 3.5 (arch has "-f4": 4) n_embd, rounded down to a multiple of 32; head_size_divisor; sizes that the old
// trainers refuse, too, are refused.
void complete_old_sizes(ModelSpec& s);
// The same of a file.
void check_old_sizes(const ModelSpec& s);
// Refuses parts that old trainers' models of this family never have.
void refuse_old_parts(const ModelSpec& s, const char* family);

}  // namespace rk
