// Whether a model can take the samples of a run.
#pragma once
#include "nn/unit.h"
#include "train/batcher.h"

namespace rk {

// Refuses samples that are cut in time or packed of documents where the model looks at whole ones, and a length that it has no positions
// for (Model::why_no_segments, only_length).
void check_samples(const Model& model, const BatchShape& shape);

}  // namespace rk
