// Compares queries with the points of nearby cells.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cells.hpp"

namespace labelquorum {

// How far a search goes.
struct Effort {
    std::size_t n_cells;      // that a query visits at most, its own included
    double reach;             // cells are visited if their gap (see Visit) is at most this * radius
    std::size_t n_shortlist;  // points kept per query
};

struct NearPoint {
    float distance;       // squared, in coordinates
    std::uint32_t place;  // of the point
    bool operator<(const NearPoint& other) const {
        return distance != other.distance ? distance < other.distance : place < other.place;
    }
};

// Keeps the nearest of the points that it is given.
class Shortlist {
public:
    void reset(std::size_t n) {
        n_ = n;
        points_.clear();
        limit_ = std::numeric_limits<float>::infinity();
    }
    float limit() const { return limit_; }
    void add(const NearPoint& point) {
        if (!(point.distance <= limit_)) return;
        points_.push_back(point);
        if (points_.size() >= 2 * n_ + 32) trim();
    }
    // The distance of the k-th nearest so far, or infinity.
    float distance(std::size_t k) {
        if (points_.size() < k) return std::numeric_limits<float>::infinity();
        const auto kth = points_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(points_.begin(), kth, points_.end());
        return kth->distance;
    }
    // The nearest n, sorted.
    std::span<const NearPoint> sorted() {
        if (points_.size() > n_) trim();
        std::sort(points_.begin(), points_.end());
        return points_;
    }

private:
    void trim() {
        const auto last = points_.begin() + static_cast<std::ptrdiff_t>(n_ - 1);
        std::nth_element(points_.begin(), last, points_.end());
        limit_ = last->distance;
        points_.resize(n_);
    }

    std::size_t n_ = 0;
    float limit_ = std::numeric_limits<float>::infinity();
    std::vector<NearPoint> points_;
};

// A cell near the cell of a task.
struct NearCell {
    double squares;  // squared distance between the two centers
    std::uint32_t cell;
    bool operator<(const NearCell& other) const {
        return squares != other.squares ? squares < other.squares : cell < other.cell;
    }
};

// A near cell that a query may visit.
struct Visit {
    float gap;           // squared distance to its center minus that to the center of the own cell
    std::uint32_t near;  // number of the near cell
    bool operator<(const Visit& other) const {
        return gap != other.gap ? gap < other.gap : near < other.near;
    }
};

// Queries of one cell, at places [begin, end).
struct Task {
    std::uint32_t cell;
    std::size_t begin;
    std::size_t end;
};

// One per worker.
class CellSearch {
public:
    // same: whether the queries are the points.
    CellSearch(const RowsOfCells& queries, bool same, std::size_t k, const Cells& cells)
        : queries_(queries),
          same_(same),
          k_(k),
          cells_(cells),
          multiply_(cells.panels().tile(), cells.n_columns()),
          multiply_precisely_(precise_dot_tile(), cells.n_columns()),
          packed_(precise_dot_tile()) {}

    // Fills the shortlists of a task's queries.
    void run(const Task& task, const Effort& effort);

    // Compares with the own cell only, and lists all other cells as visits.
    void look_around(const Task& task);

    // Queries of a task are counted from 0.
    Shortlist& shortlist(std::size_t query) { return shortlists_[query]; }
    // The squared distance of the k-th nearest point in a query's own cell, or infinity.
    float radius(std::size_t query) const { return radii_[query]; }
    std::vector<Visit>& visits(std::size_t query) { return visits_[query]; }
    std::uint32_t cell(const Visit& visit) const { return near_[visit.near].cell; }

    // How many of the sorted visits a query needs that has fewer than k points in its own cell.
    std::size_t n_needed(const std::vector<Visit>& visits, std::size_t n_cells) const;

private:
    // A query that visits a cell.
    struct Visitor {
        std::uint32_t query;
        float gap;
    };

    // Takes on a task and compares its queries with their own cell.
    void begin(const Task& task, std::size_t n_shortlist);
    // Compares a cell's visitors with its points.
    void visit(std::uint32_t cell, const std::vector<Visitor>& visitors);
    // Lists for each query the cells whose gap is at most `reach` times its radius.
    void list_visits(double reach);

    const RowsOfCells& queries_;
    bool same_;
    std::size_t k_;
    const Cells& cells_;
    Multiplier multiply_;
    Multiplier multiply_precisely_;
    Task task_{};
    std::size_t n_ = 0;
    std::vector<double> rows_;      // the task's queries minus the center of their cell
    std::vector<double> squares_;   // their squared lengths
    AlignedBuffer packed_queries_;  // the same rows in panels
    std::vector<float> shift_;
    std::vector<Visitor> everyone_;
    std::vector<float> biases_;
    std::vector<float> radii_;
    std::vector<float> limits_;
    std::vector<float> no_numbers_;
    std::vector<Shortlist> shortlists_;
    std::vector<std::vector<Visit>> visits_;
    std::vector<NearCell> near_;                  // nearest first
    std::vector<std::vector<Visitor>> visitors_;  // of each near cell
    std::vector<float> gaps_;
    PackedRows packed_;
};

}  // namespace labelquorum
