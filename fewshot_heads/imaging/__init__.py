"""Image operations that know nothing of heads: conversion, warping, masks, color, segmentation."""
