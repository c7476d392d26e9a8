#include "data/samples/masks.h"

#include <algorithm>

namespace rk {
namespace {

// Whether `marker` stands at place i, with all of it below `end`.
bool opens(const RunTokens& tokens, int64_t i, int64_t end, std::span<const int32_t> marker) {
  if (tokens[i] != marker[0] || std::ssize(marker) > end - i) return false;
  for (int64_t k = 1; k < std::ssize(marker); ++k)
    if (tokens[i + k] != marker[static_cast<size_t>(k)]) return false;
  return true;
}

// The next place from i on, below end, whose token begins a marker.
int64_t next_candidate(const RunTokens& tokens, int64_t i, int64_t end, const TurnMarkers& markers) {
  const int32_t user = markers.user[0], assistant = markers.assistant[0];
  const std::span<const int32_t> head = tokens.head();
  const int64_t stop = std::min(end, std::ssize(head));
  for (; i < stop; ++i)
    if (head[static_cast<size_t>(i)] == user || head[static_cast<size_t>(i)] == assistant) return i;
  return i < end && (tokens[i] == user || tokens[i] == assistant) ? i : end;
}

// Targets of tokens [begin, end).
void fill(std::span<float> weights, int64_t begin, int64_t end, float value) {
  begin = std::max<int64_t>(begin, 1);
  end = std::min(end, std::ssize(weights) + 1);
  if (begin < end) std::fill(weights.begin() + (begin - 1), weights.begin() + (end - 1), value);
}

void count_all(int64_t n_real, TurnContext context, std::span<float> weights) {
  fill(weights, 1, n_real, 1);
  if (context.ends_document) fill(weights, n_real - 1, n_real, 0);
}

}  // namespace

void mask_qa(const RunTokens& tokens, int64_t n_real, const TurnMarkers& markers, TurnContext context, std::span<float> weights) {
  bool answering = context.answering, any = context.answers_elsewhere || (answering && n_real > 0);
  int64_t done = 0;
  for (int64_t i = 0; (i = next_candidate(tokens, i, n_real, markers)) < n_real; ++i) {
    bool next = answering;
    if (opens(tokens, i, n_real, markers.user)) {
      next = false;
    } else if (opens(tokens, i, n_real, markers.assistant)) {
      next = true;
    }
    if (next == answering) continue;
    fill(weights, done, i, answering ? 1.0f : 0.0f);
    answering = next;
    any |= answering;
    done = i;
  }
  fill(weights, done, n_real, answering ? 1.0f : 0.0f);
  if (!any) count_all(n_real, context, weights);
}

void mask_se(const RunTokens& tokens, int64_t n_real, const TurnMarkers& markers, TurnContext context, std::span<float> weights) {
  bool answering = context.answering, any = context.answers_elsewhere || (answering && n_real > 0);
  int64_t done = 0, marked = 0;
  for (int64_t i = 0; (i = next_candidate(tokens, i, n_real, markers)) < n_real;) {
    const bool user = opens(tokens, i, tokens.size(), markers.user);
    if (!user && !opens(tokens, i, tokens.size(), markers.assistant)) {
      ++i;
      continue;
    }
    if (answering == user) {
      fill(weights, done, i, answering ? 1.0f : 0.0f);
      answering = !user;
      any |= answering;
      done = i;
    }
    i += user ? std::ssize(markers.user) : std::ssize(markers.assistant);
    marked = i;
  }
  fill(weights, done, std::max(n_real, marked), answering ? 1.0f : 0.0f);  // a marker's tokens count beyond n_real, too
  if (!any) count_all(n_real, context, weights);
}

int last_turn(std::span<const int32_t> tokens, int64_t n_begins, const TurnMarkers& markers) {
  const RunTokens run(tokens);
  for (int64_t i = n_begins - 1; i >= 0; --i) {
    if (opens(run, i, std::ssize(tokens), markers.user)) return 0;
    if (opens(run, i, std::ssize(tokens), markers.assistant)) return 1;
  }
  return -1;
}

bool mask_answers_20b(std::span<const int32_t> tokens, std::span<float> weights) {
  bool answering = false, any = false;
  for (size_t k = 0; k < tokens.size(); ++k) {
    if (k >= 3) {
      if (tokens[k - 3] == 187 && tokens[k - 2] == 187 && tokens[k - 1] == 34 && tokens[k] == 27) answering = true;
      if (tokens[k] == 0) answering = false;
    }
    weights[k] = answering ? 1.0f : 0.0f;
    any |= answering;
  }
  return any;
}

void mask_script(const ScriptMask& rule, int64_t document_left, std::span<float> weights) {
  const int64_t n = std::ssize(weights);
  std::fill_n(weights.begin(), std::min(rule.prefix, n), 0.0f);
  if (rule.cut) std::fill(weights.begin() + std::clamp<int64_t>(document_left - 1, 0, n), weights.end(), 0.0f);
}

}  // namespace rk
