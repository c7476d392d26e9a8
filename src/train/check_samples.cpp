#include "train/check_samples.h"

#include "base/error.h"

namespace rk {

void check_samples(const Model& model, const BatchShape& shape) {
  const std::string& why = model.why_no_segments;
  if (!why.empty() && shape.segment < shape.T)
    fail(cat("--chunk_ctx ", shape.segment, " is not possible: ", why, "; leave --chunk_ctx out"));
  if (!why.empty() && shape.resets)
    fail(cat("documents side by side in a sample are not possible: ", why, "; give --doc_reset 0, or --dataload without pack"));
  if (model.only_length > 0 && shape.T != model.only_length)
    fail(cat("--ctx_len ", shape.T, " is not possible: the model has positions for samples of exactly ", model.only_length,
             " tokens (--my_pos_emb); give --ctx_len ", model.only_length));
}

}  // namespace rk
