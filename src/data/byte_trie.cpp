#include "data/byte_trie.h"

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/error.h"

namespace rk {

// Places nodes breadth first, so that the top levels, which every match visits, lie close together.
class ByteTrie::Builder {
 public:
  explicit Builder(std::vector<Entry> entries) : entries_(std::move(entries)) {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.bytes < b.bytes; });
  }

  std::vector<Cell> build() {
    grow();
    std::deque<Node> todo{{no_cell, 0, entries_.size(), 0}};
    while (!todo.empty()) {
      place_children_of(todo.front(), todo);
      todo.pop_front();
    }
    const uint32_t dead = static_cast<uint32_t>(cells_.size());  // where nothing matches
    cells_.resize(cells_.size() + 256);
    for (uint32_t leaf : leaves_) cells_[leaf].base = dead;
    return std::move(cells_);
  }

 private:
  static constexpr uint32_t no_cell = ~uint32_t{0};
  // The entries [first, last) share their first `depth` bytes and are longer than that, except possibly the first.
  struct Node {
    uint32_t cell;
    size_t first, last, depth;
  };

  void place_children_of(const Node& node, std::deque<Node>& todo) {
    const size_t first = node.first + (entries_[node.first].bytes.size() == node.depth ? 1 : 0);
    if (first == node.last) return leaves_.push_back(node.cell);
    std::vector<Node> children;
    labels_.clear();
    for (size_t i = first; i < node.last; ++i) {
      const uint8_t label = static_cast<uint8_t>(entries_[i].bytes[node.depth]);
      if (labels_.empty() || labels_.back() != label) {
        labels_.push_back(label);
        children.push_back({0, i, i, node.depth + 1});
      }
      children.back().last = i + 1;
    }
    const uint32_t base = node.cell == no_cell ? 0 : find_base();
    base_taken_[base] = true;
    if (node.cell != no_cell) cells_[node.cell].base = base;
    for (size_t c = 0; c < children.size(); ++c) {
      Node& child = children[c];
      child.cell = base + labels_[c];
      const Entry& entry = entries_[child.first];
      const uint32_t id = entry.bytes.size() == child.depth ? static_cast<uint32_t>(entry.id) : 0;
      cells_[child.cell].tag = labels_[c] | id << label_bits;
      todo.push_back(child);
    }
  }

  bool fits(uint32_t base) const {
    if (base_taken_[base]) return false;
    return std::all_of(labels_.begin(), labels_.end(), [&](uint8_t label) { return cells_[base + label].tag == free_label; });
  }

  // The first place that fits from a mark on, which moves behind stretches where little is free.
  uint32_t find_base() {
    uint32_t& mark = marks_[labels_.size() > 1];
    int tries = 0;
    for (uint32_t cell = free_from(std::max<uint32_t>(mark, labels_[0]));; cell = free_from(cell + 1)) {
      if (fits(cell - labels_[0])) {
        if (tries > 64) mark = cell;
        return cell - labels_[0];
      }
      ++tries;
    }
  }

  // The first free cell at or behind `cell`, found through pointers that are shortened on the way.
  uint32_t free_from(uint32_t cell) {
    for (;;) {
      while (cell + 512 > cells_.size()) grow();
      if (cells_[cell].tag == free_label) return cell;
      uint32_t& next = next_free_[cell];
      if (cells_[next].tag != free_label) next = next_free_[next];
      cell = next;
    }
  }

  void grow() {
    const uint32_t n = static_cast<uint32_t>(cells_.size());
    cells_.resize(n + 4096);
    base_taken_.resize(cells_.size());
    next_free_.resize(cells_.size());
    std::iota(next_free_.begin() + n, next_free_.end(), n + 1);
  }

  std::vector<Entry> entries_;
  std::vector<Cell> cells_;
  std::vector<bool> base_taken_;
  std::vector<uint32_t> next_free_;  // of a taken cell: one behind it, with no free cell between
  std::vector<uint32_t> leaves_;
  std::vector<uint8_t> labels_;
  uint32_t marks_[2] = {1, 1};  // for one child, for several
};

ByteTrie::ByteTrie(std::vector<Entry> entries) {
  require(!entries.empty(), "a trie holds something");
  cells_ = Builder(std::move(entries)).build();
}

}  // namespace rk
