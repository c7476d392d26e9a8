// Which tokens of a sample count as targets, found in the tokens themselves (golden data §5.3, §6). All work on a run of tokens that
// belong together: `tokens` is what is visible, the first n_real of them are the document's. weights[j] is that of target tokens[j + 1];
// rules set 0 and 1 for targets 0 .. n_real - 2 and leave the others alone.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rk {

// The tokens of a run in two pieces, as a sample keeps them: all but the last, and the last.
class RunTokens {
 public:
  RunTokens(std::span<const int32_t> tokens) : tokens_(tokens), n_(std::ssize(tokens)) {}  // NOLINT: a run of one piece
  RunTokens(std::span<const int32_t> tokens, int32_t last) : tokens_(tokens), last_(last), n_(std::ssize(tokens) + 1) {}
  int64_t size() const { return n_; }
  int32_t operator[](int64_t i) const { return i < std::ssize(tokens_) ? tokens_[static_cast<size_t>(i)] : last_; }
  std::span<const int32_t> head() const { return tokens_; }

 private:
  std::span<const int32_t> tokens_;
  int32_t last_ = 0;
  int64_t n_;
};

inline constexpr int64_t longest_marker = 64;  // tokens
struct TurnMarkers {
  std::vector<int32_t> user, assistant;  // the tokens that open a turn; 1 to longest_marker
};

// Of a run that is a piece of a document: what the tokens ahead of it opened, whether there is an assistant's turn in another piece, and
// whether it is the last one.
struct TurnContext {
  bool answering = false, answers_elsewhere = false, ends_document = true;
};

// 1 in the assistant's turns, the marker's own tokens included. A marker counts where all of it lies in the first n_real tokens. Where
// nothing of the document is an answer every token counts but, as the reference has it, the last.
void mask_qa(const RunTokens& tokens, int64_t n_real, const TurnMarkers& markers, TurnContext context, std::span<float> weights);

// The same idea, but a marker is taken whole before the next is looked for, and may extend beyond n_real.
void mask_se(const RunTokens& tokens, int64_t n_real, const TurnMarkers& markers, TurnContext context, std::span<float> weights);

// What the last marker that begins in the first n_begins tokens opens: 1 an assistant's turn, 0 a user's; -1: there is none.
int last_turn(std::span<const int32_t> tokens, int64_t n_begins, const TurnMarkers& markers);

// my_qa_mask 1 of RWKV-LM: z[k] for k of a window, 1 from behind "\n\nA:" of the 20B tokenizer until token 0. False: nothing counts.
bool mask_answers_20b(std::span<const int32_t> tokens, std::span<float> weights);

// my_script_mask CUT_PREFIX: targets from place `document_left` - 1 on do not count (cut), nor do the first `prefix`. document_left: tokens
// of the document that holds the window's first token, from that token on.
struct ScriptMask {
  bool cut = false;
  int64_t prefix = 0;
};
void mask_script(const ScriptMask& rule, int64_t document_left, std::span<float> weights);

}  // namespace rk
