#include "comm/roll_call.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "base/error.h"
#include "comm/texts.h"

namespace rk {
namespace {

constexpr size_t kShownLines = 8;  // of a statement whose values differ
constexpr size_t kShownHosts = 4;

std::string text_of(const RankCard& card) {
  std::string text = cat(card.host, '\n', card.device, '\n', card.index, '\n');
  for (const Statement& s : card.statements)
    text += cat(s.what, '\n', s.value, '\n', s.rule == Statement::Rule::equal ? "equal" : "may differ", '\n', s.shown ? "shown" : "", '\n');
  return text;
}

RankCard card_of(const std::string& text) {
  RankCard card;
  std::istringstream in(text);
  std::string index, rule, shown;
  std::getline(in, card.host);
  std::getline(in, card.device);
  std::getline(in, index);
  card.index = std::atoi(index.c_str());
  for (Statement s; std::getline(in, s.what) && std::getline(in, s.value) && std::getline(in, rule) && std::getline(in, shown);) {
    s.rule = rule == "equal" ? Statement::Rule::equal : Statement::Rule::may_differ;
    s.shown = shown == "shown";
    card.statements.push_back(s);
  }
  return card;
}

const Statement* find(const RankCard& card, const std::string& what) {
  for (const Statement& s : card.statements)
    if (s.what == what) return &s;
  return nullptr;
}

std::string value_of(const RankCard& card, const std::string& what) {
  const Statement* s = find(card, what);
  return s ? s->value : "(not stated)";
}

// What is stated by anyone, in the order of the first rank that does.
std::vector<std::string> subjects(const std::vector<RankCard>& cards) {
  std::vector<std::string> all;
  for (const RankCard& card : cards)
    for (const Statement& s : card.statements)
      if (std::find(all.begin(), all.end(), s.what) == all.end()) all.push_back(s.what);
  return all;
}

// Ranks with one value.
struct Camp {
  std::string value;
  std::vector<int> ranks;
};

// The camp of most ranks first, among equal ones that of the lowest rank.
std::vector<Camp> camps(const std::vector<RankCard>& cards, const std::string& what) {
  std::vector<Camp> all;
  for (size_t r = 0; r < cards.size(); ++r) {
    const std::string value = value_of(cards[r], what);
    auto camp = std::find_if(all.begin(), all.end(), [&](const Camp& c) { return c.value == value; });
    if (camp == all.end()) camp = all.insert(camp, Camp{value, {}});
    camp->ranks.push_back(static_cast<int>(r));
  }
  std::stable_sort(all.begin(), all.end(), [](const Camp& a, const Camp& b) { return a.ranks.size() > b.ranks.size(); });
  return all;
}

bool must_agree(const std::vector<RankCard>& cards, const std::string& what) {
  return std::any_of(cards.begin(), cards.end(), [&](const RankCard& c) {
    const Statement* s = find(c, what);
    return s && s->rule == Statement::Rule::equal;
  });
}

std::string hosts_of(const std::vector<RankCard>& cards, const std::vector<int>& ranks) {
  std::vector<std::string> hosts;
  for (const int r : ranks) {
    const std::string& host = cards[static_cast<size_t>(r)].host;
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(host);
  }
  std::string text;
  for (size_t i = 0; i < std::min(hosts.size(), kShownHosts); ++i) text += cat(i ? ", " : "", hosts[i]);
  if (hosts.size() > kShownHosts) text += cat(" and ", hosts.size() - kShownHosts, " more");
  return text;
}

std::string ranks_text(const std::vector<int>& ranks) { return cat(ranks.size() == 1 ? "rank " : "ranks ", ranges_text(ranks)); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The lines of `ours` that `theirs` does not have.
std::vector<std::string> missing_from(const std::vector<std::string>& theirs, const std::vector<std::string>& ours) {
  std::vector<std::string> missing;
  for (const std::string& line : ours)
    if (std::find(theirs.begin(), theirs.end(), line) == theirs.end()) missing.push_back(line);
  return missing;
}

// A camp's lines that differ from another camp's.
std::string shown_lines(const RankCard& mine, const RankCard& other, const std::string& what) {
  const Statement *ours = find(mine, what), *theirs = find(other, what);
  if (!ours || !theirs) return "";
  const std::vector<std::string> differing = missing_from(lines_of(theirs->lines), lines_of(ours->lines));
  std::string text;
  for (size_t i = 0; i < std::min(differing.size(), kShownLines); ++i) text += cat("\n      ", differing[i]);
  if (differing.size() > kShownLines) text += cat("\n      and ", differing.size() - kShownLines, " lines more");
  return text;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

struct Row {
  std::string host, device;
  std::vector<int> ranks, indices;
};

std::vector<Row> rows_of(const std::vector<RankCard>& cards) {
  std::vector<Row> rows;
  for (size_t r = 0; r < cards.size(); ++r) {
    const RankCard& c = cards[r];
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& x) { return x.host == c.host && x.device == c.device; });
    if (row == rows.end()) row = rows.insert(row, Row{c.host, c.device, {}, {}});
    row->ranks.push_back(static_cast<int>(r));
    if (c.index >= 0) row->indices.push_back(c.index);
  }
  return rows;
}

std::string devices_text(const Row& row) {
  if (row.indices.empty()) return row.device;
  std::vector<int> indices = row.indices;
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return cat(indices.size() == 1 ? "GPU " : "GPUs ", ranges_text(indices), ", ", row.device);
}

}  // namespace

std::string ranges_text(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1) ++j;
    text += cat(i ? ", " : "", numbers[i]);
    if (j > i) text += cat(j == i + 1 ? ", " : "-", numbers[j]);
    i = j + 1;
  }
  return text;
}

std::vector<RankCard> call_roll(Comm& comm, const RankCard& mine) {
  std::vector<RankCard> cards;
  for (const std::string& text : gather_texts(comm, text_of(mine))) cards.push_back(card_of(text));
  for (const std::string& what : subjects(cards)) {
    if (camps(cards, what).size() == 1) continue;
    const Statement* own = find(mine, what);
    const std::vector<std::string> lines = gather_texts(comm, own ? own->lines : "");
    for (size_t r = 0; r < cards.size(); ++r)
      for (Statement& s : cards[r].statements)
        if (s.what == what) s.lines = lines[r];
  }
  return cards;
}

std::vector<std::string> roll_table(const std::vector<RankCard>& cards, size_t most) {
  const std::vector<Row> rows = rows_of(cards);
  const size_t shown = rows.size() > most ? most - 1 : rows.size();
  size_t host_width = 4, rank_width = 5;
  for (size_t i = 0; i < shown; ++i) {
    host_width = std::max(host_width, rows[i].host.size());
    rank_width = std::max(rank_width, ranges_text(rows[i].ranks).size());
  }
  std::vector<std::string> lines{cat(padded("host", host_width), "  ", padded("ranks", rank_width), "  device")};
  for (size_t i = 0; i < shown; ++i)
    lines.push_back(
        cat(padded(rows[i].host, host_width), "  ", padded(ranges_text(rows[i].ranks), rank_width), "  ", devices_text(rows[i])));
  if (shown < rows.size()) {
    std::vector<int> ranks;
    for (size_t i = shown; i < rows.size(); ++i) ranks.insert(ranks.end(), rows[i].ranks.begin(), rows[i].ranks.end());
    std::sort(ranks.begin(), ranks.end());
    lines.push_back(cat("and ", hosts_of(cards, ranks), ": ", ranks_text(ranks)));
  }
  std::string alike;
  for (const std::string& what : subjects(cards)) {
    const Statement* s = find(cards[0], what);
    if (s && s->shown && !s->value.empty() && camps(cards, what).size() == 1) alike += cat(alike.empty() ? "" : ", ", what, " ", s->value);
  }
  if (!alike.empty()) lines.push_back(cat(cards.size() > 1 ? "all ranks: " : "", alike));
  return lines;
}

std::vector<std::string> roll_warnings(const std::vector<RankCard>& cards) {
  std::vector<std::string> lines;
  for (const std::string& what : subjects(cards)) {
    const std::vector<Camp> all = camps(cards, what);
    if (all.size() == 1 || must_agree(cards, what)) continue;
    std::string line = cat(what, " is not the same on all ranks:");
    for (size_t i = 0; i < std::min(all.size(), kShownHosts); ++i)
      line += cat(i ? "; " : " ", all[i].value, " on ", ranks_text(all[i].ranks), " (", hosts_of(cards, all[i].ranks), ")");
    if (all.size() > kShownHosts) line += cat("; and ", all.size() - kShownHosts, " other values");
    lines.push_back(line);
  }
  return lines;
}

std::string roll_differences(const std::vector<RankCard>& cards) {
  std::string text;
  for (const std::string& what : subjects(cards)) {
    const std::vector<Camp> all = camps(cards, what);
    if (all.size() == 1 || !must_agree(cards, what)) continue;
    text += cat(text.empty() ? "" : "\n", "  ", what, ":");
    for (size_t i = 0; i < std::min(all.size(), kShownLines); ++i) {
      const std::vector<int>& ranks = all[i].ranks;
      text += cat("\n    ", ranks_text(ranks), " on ", hosts_of(cards, ranks), ": ", all[i].value);
      const auto card = [&](size_t camp) -> const RankCard& { return cards[static_cast<size_t>(all[camp].ranks[0])]; };
      text += shown_lines(card(i), card(i == 0 ? 1 : 0), what);
    }
    if (all.size() > kShownLines) text += cat("\n    and ", all.size() - kShownLines, " other values");
  }
  return text;
}

}  // namespace rk
