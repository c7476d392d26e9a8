// A schedulable piece of a model: it computes forward and backward over one segment of time and knows nothing of ranks,
// micro-batches, optimizers or files.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "device/exec.h"
#include "params/param_table.h"

namespace rk {

// What flows through the depth of a model.
struct Flow {
  Tensor x;       // [B,T,C] in the model's dtype
  Tensor shared;  // [B,T,C] what a family shares across depth (RWKV-7: v_first of layer 0); same dtype
};
// Its gradient. dshared is held in the accumulation dtype because every block adds to it.
struct FlowGrad {
  Tensor dx;       // [B,T,C] in the model's dtype
  Tensor dshared;  // [B,T,C] accumulation dtype; zero before the last block's backward
};

// Activations that live from forward to backward: a struct of the unit's own, in place, without heap memory.
class Saved {
 public:
  template <class T>
  T& emplace() {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(bytes_));
    return *new (bytes_) T{};
  }
  template <class T>
  T& as() {
    return *std::launder(reinterpret_cast<T*>(bytes_));
  }

 private:
  alignas(16) std::byte bytes_[4096];
};

// What runs through time: one tensor per entry, zero at the start of a sequence.
struct StateSpec {
  const char* name;  // "att_shift", "wkv", "ffn_shift"
  Shape shape;       // with the batch in front
  DType dtype;
};

// Which numbers of the residual stream a step drops (kernels/dropout); p = 0: none.
struct DropoutRule {
  double p = 0;
  uint64_t seed = 0;                                       // of the step
  int64_t first_row = 0, first_token = 0, row_tokens = 0;  // sample of the step that is row 0; place of token 0 in it; tokens of a sample
};

// Tokens of one segment, and what the head needs of the loss.
struct Segment {
  int64_t B = 0, T = 0;
  Tensor tokens;   // [B,T] i32
  Tensor targets;  // [B,T] i32, -100 = not counted; null when no loss is wanted
  Tensor weights;  // [B,T] f32 loss weights (a mask); null = all 1
  Tensor resets;   // [B,T] u8: 1 = the states are zero before this token (a document begins); null = none
  DropoutRule dropout;
  double scale = 0;     // d loss / d (weighted sum of cross entropies): 1 / (sum of weights over all ranks and micro-batches)
  double l2_scale = 0;  // L2Wrap: 1e-4 / (rows of the global batch); 0 = off
  Tensor loss_scale;    // [1] f64: all gradients carry this factor (fp16); null = 1
  // Outputs of the head, each optional:
  Tensor loss_sum;  // [1] f64, added to: weighted sum of cross entropies
  Tensor row_loss;  // [B,T] f32/f64 (accumulation dtype): each row's cross entropy, 0 where not counted
  Tensor logits;    // [B,T,V] accumulation dtype
};

struct UnitForward {
  const Segment& seg;
  Flow in;                            // in.x unused by the embedding
  Flow out;                           // out.x is written; may be in.x when nothing is saved. The first unit that owns `shared` writes it
  std::span<const Tensor> state_in;   // as state_specs(); empty = zero
  std::span<const Tensor> state_out;  // written; empty = not wanted
  Saved* saved = nullptr;             // null: no backward will follow; everything taken is given back
};

struct UnitBackward {
  const Segment& seg;
  Flow in;                             // as in forward
  FlowGrad grad;                       // in place: gradient of out on entry, of in on return
  std::span<const Tensor> state_in;    // as in forward
  std::span<const Tensor> dstate_out;  // accumulation dtype; empty = zero
  std::span<const Tensor> dstate_in;   // set; empty = not wanted
  Saved& saved;
};

// Contract: saved tensors come from ex.kept (from ex.scratch when saved is null), everything else from ex.scratch within
// an ArenaScope. Weight gradients are added to Param::dw. A unit never keeps a pointer to parameter memory across calls.
class Unit {
 public:
  explicit Unit(std::string unit_name) : name(std::move(unit_name)) {}
  virtual ~Unit() = default;
  virtual std::vector<StateSpec> state_specs(int64_t B) const = 0;  // empty: carries nothing
  virtual void forward(const Exec& ex, const UnitForward& a) const = 0;
  virtual void backward(const Exec& ex, const UnitBackward& a) const = 0;

  std::string name;  // "emb", "blocks.3", "head"
};

// What files of a model hold beside its parameters, and what follows from its sizes: not read, and without memory of its own.
struct DerivedTensor {
  std::string name;
  Shape shape;
  std::string before;                            // the parameter that it stands in front of in a file
  std::function<double(int64_t index)> formula;  // value of a flat element
};

// Ordered units, their parameters and sizes: unit 0 is the embedding, the last is the head. The head's forward with
// `saved` computes the loss and adds its own weight gradients; its backward hands out the gradient of its input.
struct Model {
  std::string family;  // "rwkv7"
  DType dtype = DType::f32;
  int64_t n_layer = 0, n_embd = 0, n_vocab = 0, head_size = 0;
  bool shares = false;          // whether Flow::shared is used
  std::string why_no_segments;  // why samples cannot be cut in time, share a row or be made token by token; "" = they can
  int64_t only_length = 0;      // tokens that a sample must have; 0 = any number
  ParamTable params;
  std::vector<DerivedTensor> derived;  // in the order of files
  std::vector<std::unique_ptr<Unit>> units;

  std::vector<Param*> params_of(int unit);  // in table order
};

}  // namespace rk
